"""Proves and times what computes the layers on this machine.

    python -m speechbrain_ligru_fast verify

Each backend that can run is checked against float64 and timed, as ``auto``
does it before it takes one (backends/verdicts.py), then whole layers beside
torch's LSTM and GRU and SpeechBrain's layers (layers.py). All of it in
processes of their own: what crashes or hangs is named. The file that is
written can be sent.
"""

import argparse
import json
import time

import torch
from tqdm import tqdm

from speechbrain_ligru_fast.backends import (
    auto,
    child,
    loading,
    verdict_files,
    verdicts,
)
from speechbrain_ligru_fast.backends.kinds import cases
from speechbrain_ligru_fast.verify.layers import SHAPE, time_layers

RIVALS = ("LiGRU speechbrain", "SLiGRU speechbrain", "LSTM torch", "GRU torch")
# Of the time; the rest is for the layers.
PROVING = 0.6
# Seconds that all layers take turns, and in which each must come to an end.
TURNS, LIMIT = 15.0, 60


def able(kind, device):
    """Names of the backends that can run a kind, also if ``auto`` won't."""
    dtype = getattr(torch, "float64" if kind.io == "float64" else kind.dtype)
    with loading.current(device):
        return tuple(
            name
            for name in auto.tried_on(device.type)
            if loading.reason(name, device.type, dtype, kind.spec) is None
        )


def prove(kind, device, seed=0, until=float("inf"), names=None):
    """Yields a row for each backend of a kind, also where time ends.

    What is known of all that ``auto`` takes is kept for it, if it is a GPU's.
    """
    candidates, found = able(kind, device), {}
    chosen = [n for n in candidates if names is None or n in names]
    taken = tuple(
        n for n in candidates if loading.passed_over(n, device.type) is None
    )
    try:
        verdicts.prove(found, kind, device, chosen, seed, until)
        if device.type in auto.PROVEN_ON and {*taken} <= {*chosen}:
            kept = {name: found[name] for name in taken}
            verdict_files.write(kept, kind, device, taken)
    finally:
        for name, verdict in found.items():
            yield {"kind": str(kind), "backend": name, **verdict}


def _table(rows):
    """Microseconds a step of each layer, as lines."""
    found = {}
    for row in rows:
        if "p50_ms" in row:
            us = 1000 * row["p50_ms"] / SHAPE["steps"]
            found.setdefault(row["name"], {})[row["mode"]] = f"{us:12.2f}"
        elif "why" in row:
            found[row["name"]] = {"infer": f"{row['verdict']}: {row['why']}"}
    yield f"{'us a step':24}{'infer':>12}{'train':>12}"
    for name, cells in found.items():
        yield f"{name:24}" + "".join(cells.get(m, "") for m in cells)


def verify(device, until, bar):
    """Proves the backends, then times the layers; returns rows by what."""
    begin = time.monotonic()
    kinds = cases(device.type)
    half = begin + PROVING * (until - begin)
    found = {"checks": [], "times": [], "missing": []}

    def gather(what, rows):
        try:
            for row in rows:
                found[what].append(row)
        except child.Ended as error:
            found["missing"].append(f"{what}: {error}")
        bar.update()

    for kind in kinds:
        gather("checks", prove(kind, device, until=half))
    bad = [r for r in found["checks"] if r["verdict"] in verdicts.BAD]
    bad = {row["backend"] for row in bad}
    ours = [
        f"{model} {name}"
        for model in ("LiGRU", "SLiGRU")
        for name in able(kinds[0], device)
        if name not in bad and name != "reference"
    ]
    job = [*ours, *RIVALS], device, SHAPE, "tf32", TURNS
    gather("times", time_layers(*job, limit=LIMIT, until=until))
    return found


def by_hand(argv, environment):
    """Runs the command on its words; returns the exit status.

    What is written begins with ``environment``.
    """
    parser = argparse.ArgumentParser(
        prog="python -m speechbrain_ligru_fast verify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    here = [*gpus[:1], "cpu"]
    add = parser.add_argument
    add("--devices", nargs="+", default=here, choices=[*gpus, "cpu"])
    add("--minutes", type=float, default=3.0)
    add("--out", default="ligru-verify.json", help="file to write")
    args = parser.parse_args(argv)
    begin, found, failed = time.monotonic(), {}, False
    try:
        file = open(args.out, "w", encoding="utf-8")
    except OSError as error:
        parser.error(f"--out: {error}")
    print(environment)
    devices = [torch.device(name) for name in args.devices]
    steps = sum(1 + len(cases(device.type)) for device in devices)
    with file, tqdm(total=steps, unit="check") as bar:
        for i, device in enumerate(devices, 1):
            end = begin + 60 * args.minutes * i / len(devices)
            rows = found[str(device)] = verify(device, end, bar)
            for row in rows["checks"]:
                tqdm.write("{backend:12}{verdict:9} {kind}".format(**row))
                if row["verdict"] in verdicts.BAD:
                    failed = True
                    tqdm.write(f"    {row.get('why')}")
            for line in _table(rows["times"]):
                tqdm.write(line)
            for missing in rows["missing"]:
                tqdm.write(f"not all is done: {missing}")
        json.dump({"environment": environment, **found}, file, indent=1)
    print(f"wrote {args.out}: please add it to an issue")
    return 1 if failed else 0
