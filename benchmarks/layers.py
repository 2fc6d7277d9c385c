"""How fast are the layers here?

    python -m benchmarks.layers
    python -m benchmarks.layers --hidden 256 512 --steps 100 400 --modes train
    python -m benchmarks.layers --impls numba numba-recompute --layers 1 4

This package's backends, SpeechBrain's layer (eager, scripted, and with the two
lines of upstream/linear_backward), and torch's LSTM and GRU of as many units
and of as many parameters, on the CPU. They take turns in one process: A B C,
then C B A, again and again, so that what slows the machine for a while slows
all of them alike. Each layer is compared with SpeechBrain's before it is
timed; if one is wrong nothing is timed and the exit status is 1.

Rows are appended to build/benchmarks/layers.csv unless --out names another
file. A ratio is to what `auto` takes, turn by turn.
"""

import ctypes
import gc
import multiprocessing
import pathlib
import platform
import sys
from dataclasses import asdict, replace
from importlib.metadata import version
from itertools import product

import numpy as np
import speechbrain.nnet.RNN as stock
import torch

import speechbrain_ligru_fast as fast
from benchmarks import cases, rows
from speechbrain_ligru_fast import verify
from speechbrain_ligru_fast.backends import choose
from speechbrain_ligru_fast.backends.kinds import Kind
from speechbrain_ligru_fast.backends.spec import ScanSpec
from speechbrain_ligru_fast.backends.turns import take_turns
from speechbrain_ligru_fast.training.memory import keep_freed_memory
from upstream import apply

STOCK, STOCK_LINEAR = "speechbrain", "speechbrain-linear"
THEIRS = (STOCK, "speechbrain-jit", STOCK_LINEAR, "torch")
RECOMPUTE = "-recompute"  # Its backward computes the gates again.
SEED = 1234


class Step:
    """A layer with its input: what is timed and compared.

    All that compute one case, by whatever implementation and in whatever
    type, have the same weights and input.

    Example
    -------
    >>> output, gradients = Step("torch", cases.Case("GRU", 7, 3, 2, 5))()
    >>> output.shape, gradients["x"].shape
    (torch.Size([2, 5, 7]), torch.Size([2, 5, 3]))
    """

    def __init__(self, impl, case, dtype=torch.float32):
        self.trains = case.mode == "train"
        self.half = case.dtype == "bf16" and dtype == torch.float32
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(SEED)
            x = torch.randn(case.input_shape)
            grad = torch.randn(*x.shape[:2], case.directions * case.hidden)
            layer = build(impl, case)
        _shift(layer)
        layer = layer.to(dtype).train(self.trains)
        self.x, self.grad = x.to(dtype), grad.to(dtype)
        self.x.requires_grad_(self.trains)
        self.leaves = {"x": self.x, **dict(layer.named_parameters())}
        scripted = impl == "speechbrain-jit"
        self.layer = torch.jit.script(layer) if scripted else layer

    def __call__(self):
        """Output, and in training the gradients by name."""
        with (
            torch.set_grad_enabled(self.trains),
            torch.autocast("cpu", torch.bfloat16, enabled=self.half),
        ):
            output = self.layer(self.x)[0]
        if not self.trains:
            return output, {}
        leaves, grad = list(self.leaves.values()), self.grad.to(output.dtype)
        found = torch.autograd.grad(output, leaves, grad)
        return output, dict(zip(self.leaves, found))


def _growth(impl, case):
    """Most MiB by which a step raises the memory of this new process."""
    step, short = Step(impl, case), Step(impl, replace(case, steps=2))
    short()
    short()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    status = pathlib.Path("/proc/self/status")
    before, _output, after = status.read_text(), step(), status.read_text()
    most, first = after.split("VmHWM:")[1], before.split("VmRSS:")[1]
    return round((int(most.split()[0]) - int(first.split()[0])) / 1024, 1)


@torch.no_grad()
def _shift(layer):
    """Gives norms a bias: of a single frame they make 0, at ReLU's kink."""
    for name, bias in layer.named_parameters():
        if name.endswith("norm.bias"):
            bias.copy_(torch.arange(1.0, len(bias) + 1).sin())


def build(impl, case):
    """A layer, not yet scripted, by the name of what computes it."""
    shape = {"bidirectional": case.directions == 2, "num_layers": case.layers}
    if impl == "torch":
        of = getattr(torch.nn, case.model)
        return of(case.features, case.hidden, batch_first=True, **shape)
    shape |= {"hidden_size": case.hidden, "input_shape": case.input_shape}
    edited = impl == STOCK_LINEAR
    theirs = apply.edited_module("linear_backward", stock) if edited else stock
    layer = getattr(theirs, case.model)(**shape)
    if impl not in THEIRS:
        shape["backend"] = impl.removesuffix(RECOMPUTE)
        shape["recompute"] = impl.endswith(RECOMPUTE)
        ours = getattr(fast, case.model)(**shape)
        ours.load_state_dict(layer.state_dict(), strict=True)
        return ours
    return layer


def names():
    """Implementations that can run on the CPU here, ours first."""
    return [*verify.able(Kind(64, 8), torch.device("cpu")), *THEIRS]


def _auto(case):
    """The backend that `auto` takes on the CPU."""
    dtype = torch.bfloat16 if case.dtype == "bf16" else torch.float32
    spec = ScanSpec("relu", case.directions, case.model == "SLiGRU")
    module = choose("auto", "cpu", dtype, spec, case.steps)
    return module.__name__.rpartition(".")[2]


def candidates(case, models, impls):
    """Pairs of implementation and case that take turns.

    Example
    -------
    >>> case = cases.Case("LiGRU", 512, 512, 8, 100, directions=2)
    >>> [(x.model, x.hidden) for _, x in candidates(case, [], ["torch"])]
    [('LSTM', 512), ('LSTM', 192), ('GRU', 512), ('GRU', 240)]
    """
    found = []
    for model, impl in product(models, impls):
        # Its forward is SpeechBrain's.
        linear = impl == STOCK_LINEAR and case.mode != "train"
        if impl != "torch" and not linear:
            found.append((impl, replace(case, model=model)))
    for model in cases.TORCH_MODELS if "torch" in impls else ():
        found.append(("torch", replace(case, model=model)))
        found.append(("torch", cases.of_as_many_parameters(case, model)))
    return list(dict.fromkeys(found))


def _error(got, want):
    largest = want.double().abs().max().clamp(min=1)
    return ((got.double() - want.double()).abs().max() / largest).item()


def check(impl, case):
    """Raises ArithmeticError if a layer is not what SpeechBrain's is.

    In float64, outputs may differ by 1e-10 and gradients by 1e-8 of the
    largest number, or of 1 where that is less. In the type that is timed, an
    output may have four times the error of SpeechBrain's own, and a few
    roundings; a gradient can't be judged there, since one rounding moves it
    where ReLU has its kink.
    """
    exact, gradients = Step(STOCK, case, torch.float64)()
    output, found = Step(impl, case, torch.float64)()
    own = _error(Step(STOCK, case)()[0], exact)
    rounded, _ = Step(impl, case)()
    for name, got, want, limit in (
        ("output", output, exact, 1e-10),
        *((name, found[name], gradients[name], 1e-8) for name in gradients),
        ("rounded output", rounded, exact, 4 * own + 4 * 2**-23),
    ):
        error = _error(got, want)
        if not error <= limit:  # So that a NaN is wrong.
            words = f"{name}: error {error:.2e}, allowed {limit:.2e}"
            raise ArithmeticError(f"{impl}: {case.name}: {words}")


def measure(case, args):
    """Times all that take turns; yields a dict a row."""
    pairs = candidates(case, args.models, args.impls)
    steps = {pair: Step(*pair) for pair in pairs}
    times = take_turns(steps, args.seconds)
    for impl, same in steps:
        # An LSTM takes turns with both models: it is compared with the first.
        rival = same if same.model in cases.LIGRU_MODELS else case
        ours = "auto" if "auto" in args.impls else _auto(rival), rival
        row = {"impl": impl, **asdict(same), "op": "layer"}
        own = times[impl, same]
        row |= rows.compared(own, times.get(ours, np.nan))
        row["auto"] = "yes" if ours == (impl, same) else ""
        row["rounds"] = len(own)
        if args.peak:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                row["peak_mb"] = pool.apply(_growth, (impl, same))
        took = "{p50_ms:10.2f} ms {ratio_p50:8.2f}x".format(**row)
        print(f"{same.name:42} {impl:20} {took}")
        yield row


def _parser():
    sizes = ("hidden", [512]), ("batch", [8]), ("steps", [100]), ("layers", [1])
    tool = rows.parser("benchmarks.layers", __doc__, sizes)
    can = names()
    again = [name + RECOMPUTE for name in can if name not in THEIRS]
    for name, default, choices in (
        ("--models", [*cases.LIGRU_MODELS], cases.LIGRU_MODELS),
        ("--impls", can, [*can, *again, "auto"]),
        ("--modes", ["train", "infer"], ["train", "infer"]),
        ("--dtypes", ["fp32"], ["fp32", "bf16"]),
    ):
        tool.add_argument(name, nargs="+", default=default, choices=choices)
    both = {"type": int, "choices": [1, 2], "default": [2]}
    tool.add_argument("--directions", nargs="+", **both)
    tool.add_argument("--features", type=rows.positive, help="default: hidden")
    tool.add_argument("--threads", type=rows.positive)
    tool.add_argument("--peak", action="store_true", help="memory (Linux)")
    return tool


def main(argv=None):
    """Runs the tool; returns the exit status."""
    # As in the recipes: else the system's pages are timed as well.
    keep_freed_memory()
    told = {name: version(name) for name in ("speechbrain", "numba")}
    told["python"] = platform.python_version()
    args, origin = rows.begin(_parser(), argv, **told)
    todo = [
        cases.Case(args.models[0], hidden, args.features or hidden, *sizes)
        for hidden, *sizes in product(
            *(args.hidden, args.batch, args.steps, args.directions),
            *(args.layers, args.dtypes, args.modes),
        )
        # Of one value batch norm learns nothing.
        if "infer" in sizes or sizes[:3] != [1, 1, 1]
    ]
    try:
        for case in todo:
            for impl, same in candidates(case, args.models, args.impls):
                if impl not in (STOCK, "torch"):
                    check(impl, same)
    except ArithmeticError as error:
        print(f"WRONG: {error}\nNothing is timed.")
        return 1
    for case in todo:
        rows.write(args.out, origin, measure(case, args))
    return 0


if __name__ == "__main__":
    sys.exit(main())
