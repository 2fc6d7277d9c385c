"""Verifies a GPU's backends, then times its layers, in at most nine minutes.

    python -m benchmarks.gpu --out DIR            on a machine with a GPU
    python -m benchmarks.gpu --out DIR --dry-run  the same path on a CPU

The long form of ``python -m speechbrain_ligru_fast verify``. A rival that can't
run has a row that says why. The work is a list of pieces, the most important
first, each in processes of its own. Rows go to DIR/checks.csv and DIR/gpu.csv
as they come. Run it again to go on: what the same commit has done on the same
GPU stands. The exit status is 1 if a backend is wrong.
"""

import argparse
import json
import pathlib
import sys
import time
import uuid
from dataclasses import asdict
from importlib import metadata

import pandas as pd
import torch

from benchmarks import layers
from benchmarks.cases import Case, of_as_many_parameters
from benchmarks.provenance import provenance
from speechbrain_ligru_fast import verify
from speechbrain_ligru_fast.asr import results
from speechbrain_ligru_fast.backends import child, loading, trial, verdicts
from speechbrain_ligru_fast.backends.kinds import Kind, cases
from speechbrain_ligru_fast.backends.spec import BACKENDS
from speechbrain_ligru_fast.backends.verdicts import BAD

# Loops that launch kernels each step: on the first shape, in few types.
SLOW = ("torchscript", "speechbrain", "speechbrain-jit", "speechbrain-linear")
# Seconds in which a layer must come to an end, FlashRNN's compiler included.
LIMIT = 150
# After the name of what computes a model: it has as many parameters as ours.
EQUAL = "-parameters"
# SpeechBrain's TIMIT layer; a LibriSpeech layer; then what plans differ in.
BASE = dict(hidden=512, features=512, batch=8, steps=1000, directions=2)
LARGE = BASE | dict(hidden=1024, features=1024, batch=24)
SHAPES = [BASE, LARGE] + [
    dict(hidden=h, features=h, batch=b, steps=250, directions=d)
    for h in (512, 256, 1024, 2048) for b in (16, 64) for d in (2, 1)
]  # fmt: skip
# Of one direction: FlashRNN has no more.
TINY = dict(hidden=32, features=32, batch=2, steps=6, directions=1)
# A row for each piece that is done; and the cells of a row that are said.
DONE = "done.csv"
SAID = (
    "kind", "layer", "backend", "verdict", "why", "dtype", "mode",
    "forward_us", "backward_us", "us_per_step", "ratio_p50",
)  # fmt: skip
# Backends that promise to be captured in a CUDA graph.
CAPTURED = ("cuda", "triton")


class PinnedGRU(torch.nn.GRU):
    """A LiGRU with tanh on cuDNN: a GRU whose reset gate is open."""

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                reset = parameter[: self.hidden_size]
                reset.fill_(100.0 if name.startswith("bias_ih") else 0.0)


class FlashRNN(torch.nn.Module):
    """FlashRNN's LSTM or GRU, of one direction: others it does not have."""

    def __init__(self, model, hidden, features):
        super().__init__()
        from flashrnn import flashrnn  # Apache-2.0; compiles with nvcc.

        self.run, self.model, self.hidden = flashrnn, model.lower(), hidden
        gates = {"lstm": 4, "gru": 3}[self.model]
        self.inputs = torch.nn.Linear(features, gates * hidden)
        u = torch.randn(gates, 1, hidden, hidden) / hidden**0.5
        self.u = torch.nn.Parameter(u)
        # A GRU's candidate has two, like cuDNN's.
        self.bias = torch.nn.Parameter(torch.zeros(4, 1, hidden))

    def forward(self, x):
        """Output, as (B, T, H), and the last state."""
        found = self.inputs(x).unflatten(2, (-1, 1, self.hidden))
        u, bias = self.u.to(found.dtype), self.bias.to(found.dtype)
        how = {"backend": "cuda_fused" if x.is_cuda else "vanilla"}
        # It would round all to bfloat16 by itself.
        how |= {"function": self.model, "dtype": str(found.dtype)[6:]}
        states, last = self.run(found, u, bias, **how)
        return states[0].flatten(2), last


def build(name, shape):
    """A layer by its model and what computes it: ours, and the rivals."""
    model, impl = name.split()
    if impl == "flashrnn":
        return FlashRNN(model, shape["hidden"], shape["features"])
    if impl == "pinned":
        both = shape["directions"] == 2
        sizes = shape["features"], shape["hidden"]
        return PinnedGRU(*sizes, batch_first=True, bidirectional=both)
    layer = layers.build(impl.removesuffix(EQUAL), _case(name, shape))
    return torch.jit.script(layer) if impl == "speechbrain-jit" else layer


def _case(name, shape):
    """The case that a row tells of."""
    model, impl = name.split()
    case = Case(model, **shape)
    if impl.endswith(EQUAL):
        case = of_as_many_parameters(Case("LiGRU", **shape), model)
    return case


def capture(names, device):
    """Says whether a CUDA graph of a scan replays it on other data."""
    place = torch.device(device)
    kind = Kind(256, 16)
    for name in names:
        child.say(begin=name)
        module = loading.load(name)
        x = trial.draw(kind, (), torch.Generator(), 50)
        x = trial.cast(x, device=place)
        trial.forward(module, kind.spec, x, False)
        torch.cuda.synchronize(place)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = trial.forward(module, kind.spec, x, False)[0]
        x["w"].neg_()  # In place: the graph reads it there.
        graph.replay()
        torch.cuda.synchronize(place)
        again = trial.forward(module, kind.spec, x, False)[0]
        same = torch.equal(output, again)
        child.say(name=name, verdict="right" if same else "wrong")


def timed(shape, precision, backends, first):
    """Names of the layers that take turns on a shape, ours first."""
    whole = first and precision in ("bf16", "fp32")
    ours = [b for b in backends if b not in SLOW or whole]
    if first and precision == "bf16":
        fast = (b for b in backends if b not in SLOW)
        ours += [b + layers.RECOMPUTE for b in fast]
    rivals = [impl for impl in SLOW[1:] if whole]
    found = [f"{m} {i}" for m in ("LiGRU", "SLiGRU") for i in ours + rivals]
    found += [f"{m} torch{x}" for m in ("LSTM", "GRU") for x in ("", EQUAL)]
    found.append("GRU pinned")
    if shape["directions"] == 1 and precision != "tf32":
        found += ["LSTM flashrnn", "GRU flashrnn"]
    return found


def pieces(device, dry_run):
    """Yields what is to be done, as tuples, the most important first."""
    kinds = cases(device.type, everything=True)
    count = len(cases(device.type))
    shapes = SHAPES
    if dry_run:
        # Of each sort of row one, small.
        kinds = [kind._replace(hidden=16, rows=8) for kind in kinds[:count]]
        kinds = list(dict.fromkeys(kinds))[:2]
        shapes, count = [TINY], 1
    yield from (("check", kind) for kind in kinds[:count])
    for i, shape in enumerate(shapes):
        yield from (("time", shape, p, i < 1) for p in verify.PRECISIONS)
        # When the two shapes that matter most are timed.
        if i == min(1, len(shapes) - 1):
            if device.type == "cuda":
                yield ("graph",)
            yield from (("check", kind) for kind in kinds[count:])


class Suite:
    """The pieces, the rows and the time that is left."""

    def __init__(self, args, words):
        self.args, self.folder = args, args.out.resolve()
        self.device = torch.device("cpu" if args.dry_run else "cuda")
        self.until = time.monotonic() + 60 * args.minutes
        self.stamp = provenance("benchmarks.gpu", words, self.device.type)
        self.stamp["commit"] = args.commit or self.stamp["commit"]
        here = {"driver": "", **verdicts.machine(self.device)}
        here.pop("device")  # The same, in other words on a CPU.
        self.stamp |= here | {"speechbrain": metadata.version("speechbrain")}
        self.stamp["seed"] = args.seed
        bad = (r for r in self.rows("checks.csv") if r["verdict"] in BAD)
        self.bad = {row["backend"] for row in bad}

    def rows(self, name):
        """Rows of this commit on this GPU."""
        same = {c: self.stamp[c] for c in ("commit", "device", "driver")}
        path = self.folder / name
        rows = results.read_rows(path)[1] if path.exists() else []
        return [row for row in rows if same.items() <= row.items()]

    def do(self, piece):
        """Does a piece, unless it is done: each row is written as it comes."""
        what, *more = piece
        key = {"piece": json.dumps(piece, default=list)}
        # Nobody knows what a changed tree was.
        known = not self.stamp["commit"].endswith(("+", "unknown"))
        if known and key["piece"] in {r["piece"] for r in self.rows(DONE)}:
            return
        self.stamp["run"] = uuid.uuid4().hex[:12]
        file = "gpu.csv" if what == "time" else "checks.csv"
        try:
            for cells in getattr(self, what)(*more):
                row = self.stamp | key | cells
                results.append_row(self.folder / file, row)
                said = [f"{c} {row[c]}" for c in SAID if row.get(c, "") != ""]
                print(", ".join(said), flush=True)
                if cells.get("verdict") in BAD and "backend" in cells:
                    self.bad.add(cells["backend"])
        except child.Ended as error:
            print(f"{what}: not done: {error}", flush=True)
        else:
            results.append_row(self.folder / DONE, self.stamp | key)

    def check(self, kind):
        """Rows of a kind's verdicts."""
        asked = self.args.seed, self.until, self.args.backends
        return verify.prove(kind, self.device, *asked)

    def graph(self):
        """Rows of what is captured and replayed."""
        names = [n for n in CAPTURED if n in self.backends()]
        for row in self.said("benchmarks.gpu:capture", names):
            yield row | {"kind": "CUDA graph", "backend": row.pop("name")}

    def said(self, path, names, *more):
        """What child processes say of some names."""
        job = str(self.device), *more
        for message in child.run(path, names, job, LIMIT, self.until):
            if "name" in message:
                yield message

    def backends(self):
        """Those that can run here, are asked for and have never been wrong."""
        names = verify.able(Kind(64, 8), self.device)
        out = {*self.bad, "reference"}
        return [n for n in names if n in self.args.backends and n not in out]

    def time(self, shape, precision, first):
        """Rows of the layers that take turns."""
        names = timed(shape, precision, self.backends(), first)
        path = "speechbrain_ligru_fast.verify:time_layers"
        job = shape, precision, self.args.seconds, "benchmarks.gpu:build"
        for row in self.said(path, names, *job):
            layer = row.pop("name")
            case = asdict(_case(layer, shape)) | {"mode": "", "p50_ms": ""}
            row = case | {"dtype": precision, "op": "layer"} | row
            if row["p50_ms"]:
                us = 1000 * row["p50_ms"] / shape["steps"]
                row["us_per_step"] = round(us, 4)
            yield row | {"layer": layer, "impl": layer.split()[1]}

    def table(self):
        """Prints the medians in microseconds a step."""
        rows = [row for row in self.rows("gpu.csv") if row.get("us_per_step")]
        if rows:
            key = "features directions batch steps dtype mode layer".split()
            rows = pd.DataFrame(rows).drop_duplicates(key, keep="last")
            us = rows.set_index(key)["us_per_step"].unstack("layer")
            print(us.T.to_string())


def main(words=None):
    """Runs the suite; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=pathlib.Path, required=True)
    add("--minutes", type=float, default=9.0)
    add("--seconds", type=float, default=5.0, help="for a piece's turns")
    add("--backends", nargs="+", default=BACKENDS[1:], choices=BACKENDS[1:])
    add("--seed", type=int, default=0, help="of the checks; also options")
    add("--commit", help="for the rows, where there is no repository")
    add("--dry-run", action="store_true", help="tiny shapes on a CPU")
    add("--watch", help="a tool to start processes with, compute-sanitizer")
    args = parser.parse_args(words := sys.argv[1:] if words is None else words)
    if args.watch:
        child.PROGRAM = (*args.watch.split(), *child.PROGRAM)
    args.out.mkdir(parents=True, exist_ok=True)
    suite = Suite(args, words)
    for piece in pieces(suite.device, args.dry_run):
        if time.monotonic() > suite.until:
            print("time is over; the same command goes on from here")
            break
        suite.do(piece)
    suite.table()
    return 1 if suite.bad else 0


if __name__ == "__main__":
    sys.exit(main())
