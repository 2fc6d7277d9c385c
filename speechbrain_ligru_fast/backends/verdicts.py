"""Proof before trust: ``auto`` takes what has been right on this very GPU.

The first scan of a kind starts one child process that checks every backend
that can run against ``reference`` and times those that are right (prover.py).
What it found is kept beside the kernels: for this GPU, driver, torch, source
and libraries (verdict_files.py). cuDNN's ``benchmark=True`` measures in the
same way, without the proof.
"""

import logging
import math
import os
import statistics
import time

from speechbrain_ligru_fast.backends import child, trial
from speechbrain_ligru_fast.backends import verdict_files as files
from speechbrain_ligru_fast.backends.failures import REPORT, warn
from speechbrain_ligru_fast.backends.kinds import STEPS, Kind

logger = logging.getLogger(__name__)

SWITCH = "SPEECHBRAIN_LIGRU_VERIFY"
# Plain torch: nothing that could need a proof. The last runs everywhere.
TRUSTED = ("torchscript", "reference")
# Seconds that a backend may compile, check itself or be timed.
LIMIT = 120
# What is said aloud of a backend that can't be used, by its verdict.
BAD = {
    "wrong": "computes wrong results",
    "crashed": "crashes",
    "hung": "does not come to an end",
    "failed": "raises an error",
}
# Of this process, by the file's name.
_known = {}


def prove(found, kind, device, names, seed=0, until=math.inf):
    """What a child process finds of some backends; keeps nothing.

    Arguments
    ---------
    found : dict
        Filled, also with what came before an end: name -> ``verdict`` and, as
        far as they are known, ``why``, ``seconds``, ``forward_us`` and
        ``backward_us`` of a step.
    kind, device, names
        What to run (a Kind), on which torch.device, and the backends.
    seed, until
        Of the random numbers; when time is over, as for ``child.run``.

    Raises
    ------
    Ended
        If something can't be found out.
    """
    path, asked = f"{__package__}.prover:prove", (str(device), kind, seed)
    try:
        child.run(found, path, list(names), asked, LIMIT, until)
    finally:
        for cells in found.values():
            for way, turns in cells.pop("turns").items():
                us = 1000 * statistics.median(turns.values())
                cells[f"{way}_us"] = us / trial.timed_steps(kind)
    for name, cells in found.items():
        if cells["verdict"] == "unknown":
            raise child.Ended(f"{name}: {cells['why']}")


def known(kind, device, names):
    """The verdicts that are known here, or None."""
    key = files.file_name(kind, device, names)
    if key not in _known:
        found = files.read(key)
        if found is None:
            return None
        _known[key] = found
    return _known[key]


def find(kind, device, names, training=True):
    """The verdicts of a kind as ``prove`` fills them: known, or proven now.

    Only the trusted ones where nothing could be proven. ``training`` is for
    what is logged.
    """
    found = known(kind, device, names)
    if found is not None:
        return found
    with files.alone():
        # By another process, meanwhile.
        found = known(kind, device, names)
        if found is not None:
            return found
        begin, found = time.monotonic(), {}
        try:
            prove(found, kind, device, names)
        # Whatever it is, the training goes on.
        except Exception as error:
            found = {n: {"verdict": "right"} for n in TRUSTED}
            warn(
                f"no backend could be proven on {device}: {error}. Plain "
                f"torch is taken; {SWITCH}=0 takes others without a proof",
                key="unproven",
            )
        else:
            _tell(found, kind, device, training, time.monotonic() - begin)
            files.write(found, kind, device, names)
    _known[files.file_name(kind, device, names)] = found
    return found


def in_order(found, training):
    """Pairs of what is right and the microseconds of a step, fastest first.

    Those of the forward, where no backward follows.
    """
    right = {n: v for n, v in found.items() if v["verdict"] == "right"}
    right |= {TRUSTED[-1]: {}}
    times = {
        n: v["forward_us"] + training * v["backward_us"]
        if "backward_us" in v else math.inf
        for n, v in right.items()
    }  # fmt: skip
    return sorted(times.items(), key=lambda pair: pair[1])


def _tell(found, kind, device, training, seconds):
    """Logs what was tried, and warns of what is not to be used."""
    order = dict(in_order(found, training))
    tried = [
        "{} {forward_us:.2f} + {backward_us:.2f}".format(name, **found[name])
        if "backward_us" in found[name] else f"{name} {found[name]['verdict']}"
        for name in sorted(found, key=lambda n: order.get(n, math.inf))
    ]  # fmt: skip
    first, second, *_ = [*order, None]
    gain = ""
    if order.get(second, math.inf) < math.inf:
        gain = f", {order[second] / order[first]:.2f} times as fast as {second}"
    here = files.machine(device)
    logger.info(
        "proven on %s in %.0f s: %s: %s (us a step, forward + backward); "
        "taking %s for %s%s",
        here["device"],
        seconds,
        kind,
        ", ".join(tried),
        first,
        "training" if training else "inference",
        gain,
    )
    for name, verdict in found.items():
        if verdict["verdict"] in BAD:
            what = {k: v for k, v in here.items() if k != "source"}
            warn(
                f"backend {name!r} {BAD[verdict['verdict']]} on this GPU and "
                f"is not used: {kind}: {verdict.get('why')}; {what}: {REPORT}",
                key=(name, verdict["verdict"]),
            )


def consult(
    name, candidates, dtype, spec, tf32, device, io, hidden, rows, single,
    training,
):  # fmt: skip
    """What ``auto`` may take of some candidates, the fastest here first.

    Arguments
    ---------
    name : str
        ``auto``, or a backend that was named: it needs no proof, but is said
        once to have none.
    candidates : list
        Pairs of a backend and None, or the reason why it can't run.
    dtype, spec, tf32, device, io, hidden, rows, single, training
        What the scan is; see ``backends.run``.

    Returns
    -------
    list
        Such pairs.
    """
    able = tuple(n for n, reason in candidates if reason is None)
    if os.environ.get(SWITCH) == "0" or set(able) <= set(TRUSTED):
        return candidates
    types = (str(t).removeprefix("torch.") for t in (dtype, io))
    kind = Kind(hidden, rows, spec, *types, tf32, 1 if single else STEPS)
    if name == "auto":
        found = find(kind, device, able, training)
        order = [n for n, _ in in_order(found, training) if n in able]
        rest = dict(candidates)
        first = [*rest].index(order[0])
        return [
            *((n, rest[n] or _why(found.get(n))) for n in [*rest][:first]),
            *((n, None) for n in order),
        ]
    verdict = ((known(kind, device, able) or {}).get(name) or {}).get("verdict")
    if verdict != "right" and name not in TRUSTED:
        warn(
            f"backend {name!r} is {verdict or 'unproven'} on "
            f"{files.machine(device)['device']}: `python -m "
            f"speechbrain_ligru_fast verify` tries it, and backend='auto' does "
            f"so before it takes one",
            key=("named", name),
        )
    return candidates


def _why(found):
    """Why a backend comes after another one."""
    verdict = found["verdict"] if found else "unproven"
    return "it is slower" if verdict == "right" else verdict
