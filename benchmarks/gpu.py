"""Verifies a GPU's backends, then times its layers, in at most nine minutes.

    python -m benchmarks.gpu --out DIR            on a machine with a GPU
    python -m benchmarks.gpu --out DIR --dry-run  the same path on a CPU

The long form of ``python -m speechbrain_ligru_fast verify``. A rival that can't
run has a row that says why. The work is a list of pieces, the most important
first, each in processes of its own. Rows go to DIR/checks.csv and DIR/gpu.csv
as they come. Run it again to go on: what the same commit has done on the same
GPU stands. The exit status is 1 if a backend is wrong.
"""

import json
import pathlib
import signal
import sys
import time
import uuid
from dataclasses import asdict
from importlib import metadata

import pandas as pd
import torch

from benchmarks.gpu_layers import case, timed
from benchmarks.rows import parser, provenance
from speechbrain_ligru_fast import verify
from speechbrain_ligru_fast.backends import child
from speechbrain_ligru_fast.backends.kinds import Kind, cases
from speechbrain_ligru_fast.backends.spec import BACKENDS
from speechbrain_ligru_fast.backends.verdict_files import machine
from speechbrain_ligru_fast.backends.verdicts import BAD
from speechbrain_ligru_fast.training import results
from speechbrain_ligru_fast.verify import graphs
from speechbrain_ligru_fast.verify.layers import PRECISIONS, time_layers

# Seconds in which a layer must come to an end, FlashRNN's compiler included.
LIMIT = 150
# Seconds for what comes before, a child that the driver holds, and the table.
SPARE = 20
# SpeechBrain's TIMIT layer; a LibriSpeech layer; then what plans differ in.
BASE = dict(hidden=512, features=512, batch=8, steps=1000, directions=2)
LARGE = BASE | dict(hidden=1024, features=1024, batch=24)
SHAPES = [BASE, LARGE] + [
    dict(hidden=h, features=h, batch=b, steps=250, directions=d)
    for h in (512, 256, 1024, 2048) for b in (16, 64) for d in (2, 1)
]  # fmt: skip
TINY = dict(hidden=32, features=32, batch=2, steps=6, directions=1)
# Of the time that one piece may take; then it waits for the next call.
SHARE = 0.5
DONE = "done.csv"  # A row for each piece that is done, or had its share.
# Cells of a row that are said.
SAID = "kind layer backend verdict why dtype mode forward_us backward_us "
SAID = (SAID + "us_per_step ratio_p50").split()


def pieces(device, dry_run):
    """Yields what is to be done, as tuples, the most important first."""
    kinds = cases(device.type, everything=True)
    count, shapes = len(cases(device.type)), SHAPES
    if dry_run:
        # Of each sort of row one, small; FlashRNN has one direction only.
        kinds = [kind._replace(hidden=16, rows=8) for kind in kinds[:count]]
        kinds = list(dict.fromkeys(kinds))[:2]
        shapes, count = [TINY], 1
    yield from (("check", kind) for kind in kinds[:count])
    for i, shape in enumerate(shapes):
        yield from (("time", shape, p, i < 1) for p in PRECISIONS)
        # When the two shapes that matter most are timed.
        if i == min(1, len(shapes) - 1):
            if device.type == "cuda":
                yield ("graph",)
            yield from (("check", kind) for kind in kinds[count:])


def _key(piece):
    """A piece as a cell."""
    return json.dumps(piece, default=list)


class Suite:
    """The pieces, the rows and the time that is left."""

    def __init__(self, args, words):
        self.args, self.folder = args, args.out.resolve()
        self.device = torch.device("cpu" if args.dry_run else "cuda")
        self.until = time.monotonic() + 60 * args.minutes - SPARE
        self.end = self.until
        self.stamp = provenance("benchmarks.gpu", words, self.device.type)
        self.stamp["commit"] = args.commit or self.stamp["commit"]
        # Its device is the same, in other words on a CPU.
        here = machine(self.device) | {"device": self.stamp["device"]}
        self.stamp |= {"driver": "", **here, "seed": args.seed}
        self.stamp["speechbrain"] = metadata.version("speechbrain")

    def rows(self, name, **cells):
        """Rows of this commit on this GPU that have some cells."""
        cells |= {c: self.stamp[c] for c in ("commit", "device", "driver")}
        path = self.folder / name
        rows = results.read_rows(path)[1] if path.exists() else []
        return [row for row in rows if cells.items() <= row.items()]

    def bad(self):
        """Backends that have been wrong, or the end of their process."""
        rows = self.rows("checks.csv")
        return {row["backend"] for row in rows if row["verdict"] in BAD}

    def tried(self, piece):
        """How often a piece had its share of a call's time, and wasn't done."""
        return len(self.rows(DONE, piece=_key(piece), state="cut"))

    def do(self, piece):
        """Does a piece, unless it is done: each row is written as it comes."""
        what, *more = piece
        key = {"piece": _key(piece), "state": "done"}
        # Nobody knows what a changed tree was.
        known = not self.stamp["commit"].endswith(("+", "unknown"))
        if known and self.rows(DONE, **key):
            return
        self.stamp |= {"run": uuid.uuid4().hex[:12], "piece": key["piece"]}
        file = "gpu.csv" if what == "time" else "checks.csv"
        self.end = time.monotonic() + SHARE * 60 * self.args.minutes
        self.end = min(self.until, self.end)
        try:
            for cells in getattr(self, what)(*more):
                results.append_row(self.folder / file, self.stamp | cells)
                said = (f"{c} {cells[c]}" for c in SAID if cells.get(c))
                print(what, ", ".join(said), flush=True)
        except child.Ended as error:
            print(f"{what}: not done: {error}", flush=True)
            if self.end == self.until:
                return
            key["state"] = "cut"
        results.append_row(self.folder / DONE, self.stamp | key)

    def check(self, kind):
        """Rows of a kind's verdicts."""
        asked = self.args.seed, self.end, self.args.backends
        return verify.prove(kind, self.device, *asked)

    def graph(self):
        """Rows of what is captured and replayed."""
        names = [n for n in graphs.PROMISED_BY if n in self.backends()]
        path, job, found = f"{graphs.__name__}:capture", (str(self.device),), {}
        try:
            child.run(found, path, names, job, LIMIT, self.end)
        finally:
            for name, cells in found.items():
                del cells["turns"]
                yield {"kind": "CUDA graph", "backend": name, **cells}

    def backends(self):
        """Those that can run here, are asked for and have never been wrong."""
        names = verify.able(Kind(64, 8), self.device)
        asked = {*self.args.backends} - {*self.bad(), "reference"}
        return [name for name in names if name in asked]

    def time(self, shape, precision, first):
        """Rows of the layers that take turns."""
        # What was the end of this piece's process once costs no second one.
        rows = self.rows("gpu.csv", piece=self.stamp["piece"])
        ended = ("crashed", "hung")
        out = {r["layer"] for r in rows if r.get("verdict") in ended}
        names = timed(shape, precision, self.backends(), first)
        names = [name for name in names if name not in out]
        job = names, self.device, shape, precision, self.args.seconds
        maker = "benchmarks.gpu_layers:build"
        for row in time_layers(*job, LIMIT, self.end, maker):
            layer = row.pop("name")
            row = {**asdict(case(layer, shape)), "mode": "", "p50_ms": ""} | row
            row |= {"dtype": precision, "op": "layer"}
            if row["p50_ms"]:
                us = 1000 * row["p50_ms"] / shape["steps"]
                row["us_per_step"] = round(us, 4)
            yield row | {"layer": layer, "impl": layer.split()[1]}

    def table(self):
        """Prints the medians in microseconds a step."""
        rows = [row for row in self.rows("gpu.csv") if row.get("us_per_step")]
        if rows:
            print(by_layer(pd.DataFrame(rows)).to_string())


def by_layer(rows):
    """The newest microseconds a step: layers down, what was run across."""
    key = "features directions batch steps dtype mode layer".split()
    rows = rows.dropna(subset="us_per_step").drop_duplicates(key, keep="last")
    return rows.set_index(key)["us_per_step"].unstack("layer").T


def main(words=None):
    """Runs the suite; returns the exit status."""
    tool = parser("benchmarks.gpu", __doc__)
    add = tool.add_argument
    add("--out", type=pathlib.Path, required=True)
    add("--minutes", type=float, default=9.0)
    add("--seconds", type=float, default=5.0, help="for a piece's turns")
    add("--backends", nargs="+", default=BACKENDS[1:], choices=BACKENDS[1:])
    add("--seed", type=int, default=0, help="of the checks; also options")
    add("--commit", help="for the rows, where there is no repository")
    add("--dry-run", action="store_true", help="tiny shapes on a CPU")
    add("--watch", help="a tool to start processes with, compute-sanitizer")
    args = tool.parse_args(words := sys.argv[1:] if words is None else words)
    if args.watch:
        child.PROGRAM = (*args.watch.split(), *child.PROGRAM)
    try:
        for name in ("checks.csv", "gpu.csv", DONE):
            results.check_results(args.out / name)
    except ValueError as error:
        tool.error(f"--out: {error}")
    if not (args.dry_run or torch.cuda.is_available()):
        tool.error("torch finds no GPU here; --dry-run takes the CPU")
    suite = Suite(args, words)
    todo = pieces(suite.device, args.dry_run)
    for piece in sorted(todo, key=suite.tried):
        if time.monotonic() > suite.until:
            print("time is over; the same command goes on from here")
            break
        suite.do(piece)
    suite.table()
    return 1 if suite.bad() else 0


if __name__ == "__main__":
    # Who ends this program lets it write what it has.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
