"""Proof before trust: ``auto`` takes what has been right on this very GPU.

The first scan of a kind starts one child process that checks every backend
that can run against ``reference`` and times those that are right (prover.py).
What it found is kept beside the kernels: for this GPU, driver, torch, source
and libraries. cuDNN's ``benchmark=True`` measures in the same way, without the
proof.
"""

import contextlib
import functools
import hashlib
import json
import logging
import math
import os
import pathlib
import time
from importlib import metadata

import torch

from speechbrain_ligru_fast import __version__
from speechbrain_ligru_fast.backends import child, kept
from speechbrain_ligru_fast.backends.failures import REPORT, warn
from speechbrain_ligru_fast.backends.kinds import STEPS, Kind

logger = logging.getLogger(__name__)

SWITCH = "SPEECHBRAIN_LIGRU_VERIFY"
# Plain torch: nothing that could need a proof.
TRUSTED = ("torchscript", "reference")
# Seconds that a backend may compile, check itself or be timed.
LIMIT = 120
# Seconds to wait for another process's proof.
PATIENCE = 600
# What is said aloud of a backend that can't be used, by its verdict.
BAD = {
    "wrong": "computes wrong results",
    "crashed": "crashes",
    "hung": "does not come to an end",
    "failed": "raises an error",
}
_LIBRARIES = (
    "triton", "numba", "numba-cuda", "cuda-core", "cuda-bindings",
    "nvidia-cuda-nvrtc",
)  # fmt: skip
# Of this process, by ``_key``.
_known = {}


def _driver():
    """The GPU driver's version."""
    for path in ("/proc/driver/nvidia/version", "/sys/module/amdgpu/version"):
        with contextlib.suppress(OSError):
            return pathlib.Path(path).read_text().strip()
    with contextlib.suppress(AttributeError, RuntimeError):
        return str(torch._C._cuda_getDriverVersion())
    return "unknown"


@functools.cache
def machine(device):
    """What a verdict holds for, beside its kind.

    Arguments
    ---------
    device : torch.device
        Where backends are proven.

    Returns
    -------
    dict
    """
    found = {"device": "cpu", "torch": torch.__version__}
    if device.type == "cuda":
        found["device"] = torch.cuda.get_device_name(device)
        found["capability"] = torch.cuda.get_device_capability(device)
        found["driver"] = _driver()
    for library in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[library] = metadata.version(library)
    return found | {"package": __version__, "source": _source()}


@functools.cache
def _source():
    """A hash of all backends' text."""
    found = hashlib.sha256()
    folder = pathlib.Path(__file__).parent
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".py", ".cu", ".cuh"):
            found.update(path.relative_to(folder).as_posix().encode())
            found.update(path.read_bytes())
    return found.hexdigest()


def _key(kind, device, names):
    what = sorted(machine(device).items()), device.type, tuple(kind), names
    return hashlib.sha256(repr(what).encode()).hexdigest()


def _read(path):
    """The verdicts in a file, or None if there are none to trust."""
    content = kept.read(path) if path else None
    return json.loads(content)["verdicts"] if content else None


def everything():
    """Yields all that is kept: device, kind and verdicts."""
    folder = kept.folder()
    for path in sorted(folder.glob("*.verdict")) if folder else ():
        content = kept.read(path)
        if content:
            found = json.loads(content)
            yield found["machine"]["device"], found["kind"], found["verdicts"]


@contextlib.contextmanager
def _alone(folder):
    """Proves while no other process of this user does.

    The lock ends with the process that has it, however that ends.
    """
    if folder is None:
        yield
        return
    import fcntl  # Not on Windows, which has no such folder.

    try:
        handle = os.open(folder / "proving", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:  # No room, or no leave to write: each for itself.
        yield
        return
    try:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.1)
            except OSError:  # A file system without locks.
                break
        yield
    finally:
        os.close(handle)


def prove(kind, device, names, seed=0, until=math.inf):
    """What a child process finds of some backends; keeps nothing.

    Arguments
    ---------
    kind : Kind
        What to run.
    device : torch.device
        Where.
    names : tuple
        Backends.
    seed : int
        Of the random numbers.
    until : float
        When time is over; see ``child.run``.

    Returns
    -------
    dict
        Name -> ``verdict`` and, as far as they are known, ``why``,
        ``seconds``, ``forward_us`` and ``backward_us`` of a step.

    Raises
    ------
    Ended
        If that can't be found out.
    """
    found = {}
    arguments = str(device), kind, seed
    path = f"{__package__}.prover:prove"
    for message in child.run(path, list(names), arguments, LIMIT, until):
        name = message.pop("name", None)
        if name is not None:
            found[name] = found.get(name, {}) | message
            if found[name]["verdict"] == "unknown":
                raise child.Ended(f"{name}: {found[name]['why']}")
    return found


def known(kind, device, names):
    """The verdicts that are known here, or None."""
    key = _key(kind, device, names)
    if key not in _known:
        folder = kept.folder()
        found = _read(folder / f"{key}.verdict") if folder else None
        if found is None:
            return None
        _known[key] = found
    return _known[key]


def find(kind, device, names):
    """The verdicts of a kind: known, or proven now.

    Arguments
    ---------
    kind, device, names
        As in ``prove``.

    Returns
    -------
    dict
        As ``prove`` returns it; only the trusted ones if nothing could be
        proven.
    """
    found = known(kind, device, names)
    if found is not None:
        return found
    key, folder = _key(kind, device, names), kept.folder()
    path = folder / f"{key}.verdict" if folder else None
    with _alone(folder):
        found = _read(path)
        if found is None:
            begin = time.monotonic()
            try:
                found = prove(kind, device, names)
            # Whatever it is, the training goes on.
            except Exception as error:
                found = {n: {"verdict": "right"} for n in TRUSTED}
                warn(
                    f"no backend could be proven on {device}: {error}. Plain "
                    f"torch is taken; {SWITCH}=0 takes others without a proof",
                    key="unproven",
                )
            else:
                _tell(found, kind, device, time.monotonic() - begin)
                keep(found, kind, device, names)
    _known[key] = found
    return found


def keep(found, kind, device, names):
    """Writes verdicts for ``auto`` to read."""
    folder = kept.folder()
    if folder:
        path = folder / f"{_key(kind, device, names)}.verdict"
        content = {"kind": str(kind), "machine": machine(device)}
        content = json.dumps(content | {"verdicts": found})
        kept.write(path, content.encode())


def in_order(found, training):
    """Names of the backends that are right, the fastest first."""

    def us(name):
        times = found[name]
        if "backward_us" not in times:
            return float("inf")
        return times["forward_us"] + training * times["backward_us"]

    right = [n for n, v in found.items() if v["verdict"] == "right"]
    return sorted(right, key=us)


def _tell(found, kind, device, seconds):
    """Logs what was tried, and warns of what is not to be used."""
    order = in_order(found, True)
    times = [
        f"{n} {found[n]['forward_us']:.2f} + {found[n]['backward_us']:.2f}"
        for n in order if "backward_us" in found[n]
    ]  # fmt: skip
    gain = ""
    if len(times) > 1:
        first, second = (
            found[n]["forward_us"] + found[n]["backward_us"] for n in order[:2]
        )
        gain = f", {second / first:.2f} times as fast as the next"
    logger.info(
        "proven on %s in %.0f s: %s: %s us a step, forward + backward; taking "
        "%s%s",
        machine(device)["device"],
        seconds,
        kind,
        ", ".join(times),
        order[0] if order else "none",
        gain,
    )
    for name, verdict in found.items():
        if verdict["verdict"] in BAD:
            what = {k: v for k, v in machine(device).items() if k != "source"}
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
        return _proven(candidates, find(kind, device, able), training)
    verdict = (known(kind, device, able) or {}).get(name, {}).get("verdict")
    if verdict != "right" and name not in TRUSTED:
        warn(
            f"backend {name!r} is {verdict or 'unproven'} on "
            f"{machine(device)['device']}: `python -m speechbrain_ligru_fast "
            f"verify` tries it, and backend='auto' does so before it takes one",
            key=("named", name),
        )
    return candidates


def _proven(candidates, verdicts, training):
    """The candidates in the order of their verdicts."""
    able = [n for n, reason in candidates if reason is None]
    order = [n for n in in_order(verdicts, training) if n in able]
    order += [n for n in TRUSTED[-1:] if n not in order]
    first = [n for n, _ in candidates].index(order[0])
    passed_over = []
    for name, reason in candidates[:first]:
        if reason is None:
            verdict = verdicts.get(name, {}).get("verdict", "unproven")
            reason = "it is slower" if verdict == "right" else verdict
        passed_over.append((name, reason))
    return [*passed_over, *((n, None) for n in order)]
