"""How near to the CPU's rate of multiplying does the loop over time come?

    python -m tools.rate --threads 1

The scan of `numba` alone, its forward that keeps the gates and its backward,
in GFLOP/s of its recurrent products, beside one product of a layer's size by
each library that torch has. They take turns; the ratio is to the fastest of
those of the same turn. Rows are appended to build/benchmarks/rate.csv unless
--out names another file.
"""

from itertools import product

import numpy as np
import torch

from benchmarks import rows
from speechbrain_ligru_fast.backends.numba import cpu
from speechbrain_ligru_fast.backends.spec import ScanSpec
from speechbrain_ligru_fast.backends.turns import take_turns
from speechbrain_ligru_fast.products import gemm
from speechbrain_ligru_fast.training.memory import keep_freed_memory

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
LIBRARIES = "product of matrices"


def _calls(model, dtype, hidden, batch, steps):
    """What takes turns, by name, and the operations of each."""
    spec = ScanSpec("relu", 2, model == "SLiGRU", 1e-5)
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    w, grad = draw(batch, steps, 2 * hidden), draw(batch, steps, 2 * hidden)
    u = (draw(2 * hidden, hidden) / hidden**0.5).to(DTYPES[dtype])
    previous = draw(2, batch, steps, hidden)
    given = spec, w, u, None, None, None, None, None
    _, *saved = cpu.scan_forward(*given, True)
    a = w.flatten(0, 1)[:, :hidden].to(u.dtype).contiguous()
    flops = 2 * a.size(0) * u.numel()
    routes = gemm.ROUTES if dtype == "fp32" else {"torch": torch.mm}
    calls = {
        f"{LIBRARIES}, {name}": (lambda r=route: r(a, u.t()), flops)
        for name, route in routes.items()
    }
    # The recurrence of both directions.
    calls["forward"] = lambda: cpu.scan_forward(*given, True), 2 * flops
    rest = u, None, None, None, False
    calls["backward"] = (
        lambda: cpu.scan_backward(spec, grad, previous, *saved, *rest),
        2 * flops,
    )
    return calls


def measure(seconds, *case):
    """Yields a row for each that took turns."""
    calls = _calls(*case)
    times = take_turns({name: c for name, (c, _) in calls.items()}, seconds)
    rates = {
        name: flops / 1e6 / np.array(times[name])
        for name, (_, flops) in calls.items()
    }
    best = np.max([r for name, r in rates.items() if LIBRARIES in name], 0)
    keys = "model dtype hidden batch steps".split()
    for name, found in rates.items():
        row = dict(zip(keys, case)) | {"directions": 2, "what": name}
        row |= rows.quantiles("gflops_p{}", found, 1)
        row |= rows.quantiles("ratio_p{}", found / best, 3)
        cells = "model dtype hidden what gflops_p50 ratio_p50".split()
        print(*(row[cell] for cell in cells), sep="  ")
        yield row | {"rounds": len(found)}


def main(argv=None):
    """Runs the tool."""
    sizes = ("hidden", [512]), ("batch", [8]), ("steps", [100])
    tool = rows.parser("tools.rate", __doc__, sizes)
    add = tool.add_argument
    add("--models", nargs="+", default=["LiGRU", "SLiGRU"])
    add("--dtypes", nargs="+", default=["fp32"], choices=DTYPES)
    add("--threads", type=rows.positive)
    keep_freed_memory()
    args, origin = rows.begin(tool, argv)
    for case in product(
        *(args.models, args.dtypes, args.hidden, args.batch, args.steps)
    ):
        rows.write(args.out, origin, measure(args.seconds, *case))


if __name__ == "__main__":
    main()
