"""How fast, how large and how exact are exported layers on this CPU?

    python -m benchmarks.deploy
    python -m benchmarks.deploy --others --batch 1 --steps 100 --threads 1

A bidirectional LiGRU and SLiGRU in each form that ``to_onnx`` writes take turns
in ONNX Runtime with its own LSTM and GRU nodes, of as many units, and an LSTM
of as many parameters: A B C, then C B A, again and again. ``--others`` adds
what else a file is made for; what is not installed is left out.

Rows are appended to build/benchmarks/deploy.csv unless --out names another
file. Ratios are to the LSTM node of as many units, turn by turn. The machine's
load before each shape is a column: with others at work times mean little.
"""

import os
import pathlib
import sys
import tempfile
from importlib.metadata import version
from itertools import product

import numpy as np
import torch
from speechbrain_ligru_fast.training.results import append_row

import speechbrain_ligru_fast as fast
from benchmarks import command
from benchmarks.cases import Case
from benchmarks.layers import OUT, take_turns
from benchmarks.provenance import provenance
from benchmarks.runtimes import LSTM, nodes, ours


@torch.no_grad()
def measure(case, threads, args, folder):
    """Times all that take turns; yields a dict a row."""
    load = round(os.getloadavg()[0], 2)
    torch.set_num_threads(threads)
    torch.manual_seed(0)  # Every shape's nets are those of the first's files.
    shape = (case.hidden, [None, None, case.features])
    nets = [
        kind(*shape, bidirectional=True).eval()
        for kind in (fast.LiGRU, fast.SLiGRU)
    ]
    x = torch.randn(case.input_shape)
    want = {type(net).__name__: net(x)[0] for net in nets}
    made = [*nodes(case, x, threads, folder)]
    for net in nets:
        made += ours(net, x, threads, folder, args.others)
    times = take_turns({key: call for key, call, _ in made}, args.seconds)
    for key, call, path in made:
        row = dict(zip(("runtime", "model", "form", "dtype", "same"), key))
        row |= {"hidden": case.hidden, "features": case.features}
        row |= {"batch": case.batch, "steps": case.steps, "directions": 2}
        row |= {"others": args.others, "threads": threads, "load": load}
        row |= {"rounds": len(times[key])}
        row["size_mb"] = round(path.stat().st_size / 1e6, 3) if path else ""
        exact = want.get(row["model"])
        if exact is not None:
            error = (torch.as_tensor(call()) - exact).abs().max()
            row["difference"] = f"{float(error / exact.abs().max()):.1e}"
        ratios = np.divide(times[key], times[LSTM])
        for q in (20, 50, 80):
            row[f"p{q}_ms"] = np.percentile(times[key], q).round(4)
            row[f"ratio_p{q}"] = np.percentile(ratios, q).round(4)
        print(*key, f"{row['p50_ms']} ms, {row['ratio_p50']}x", sep="; ")
        yield row


def main(argv=None):
    """Runs the tool."""
    parser = command.parser("benchmarks.deploy", __doc__)
    for name, default in (
        ("batch", [1, 8]),
        ("steps", [100, 400]),
        ("threads", [1, 2]),
    ):
        parser.add_argument(f"--{name}", nargs="+", type=int, default=default)
    parser.add_argument("--hidden", type=int, default=512, help="and features")
    parser.add_argument("--others", action="store_true")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a shape")
    parser.add_argument("--out", type=pathlib.Path, default=OUT / "deploy.csv")
    args = parser.parse_args(argv)
    argv = sys.argv[1:] if argv is None else argv
    origin = provenance("benchmarks.deploy", argv)
    origin["onnxruntime"] = version("onnxruntime")
    sizes = args.threads, args.batch, args.steps
    with tempfile.TemporaryDirectory() as folder:
        for threads, batch, steps in product(*sizes):
            case = Case("LiGRU", args.hidden, args.hidden, batch, steps, 2)
            for row in measure(case, threads, args, pathlib.Path(folder)):
                append_row(args.out, origin | row)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
