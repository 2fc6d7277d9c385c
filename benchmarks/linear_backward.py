"""Times SpeechBrain's layers before and after `upstream/linear_backward`.

    python -m benchmarks.linear_backward
    python -m benchmarks.linear_backward --out benchmarks/results/upstream.csv

The installed SpeechBrain's layers and a copy with the proposal's edit take
turns in one process, after outputs and gradients were found equal bit for bit;
where they are not, nothing is timed and the exit status is 1. Rows are
appended to the result file, in build/benchmarks unless --out names another.
"""

import argparse
import pathlib
import sys
import types
from importlib.metadata import version
from itertools import product

import torch
from speechbrain.nnet import RNN

from benchmarks import timing
from benchmarks.arguments import refuse_below
from benchmarks.outputs import FOLDER
from benchmarks.provenance import provenance
from speechbrain_ligru_fast.asr import results
from upstream import apply

OUT = FOLDER / "upstream.csv"
BATCH = 8


def edited():
    """SpeechBrain's recurrent module with the edit, as a module.

    Returns
    -------
    types.ModuleType

    Raises
    ------
    ValueError
        If the installed SpeechBrain is not what the proposal edits.
    """
    source = pathlib.Path(RNN.__file__).read_text("utf-8")
    source = apply.edited("linear_backward", source)
    module = types.ModuleType("edited_rnn")
    # What stands there is SpeechBrain's own source but for the edit.
    exec(compile(source, "edited_rnn", "exec"), module.__dict__)
    return module


class Step:
    """A training step of one layer of a module.

    Arguments
    ---------
    module : types.ModuleType
        With the layers.
    model : str
        LiGRU or SLiGRU.
    hidden : int
        Hidden units of each of its two directions, and input features.
    steps : int
        Frames of each of the BATCH utterances.
    """

    def __init__(self, module, model, hidden, steps):
        shape = (BATCH, steps, hidden)
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(timing.SEED)
            self.layer = getattr(module, model)(
                hidden, shape, bidirectional=True
            )
            self.x = torch.randn(shape)
            self.grad = torch.randn(BATCH, steps, 2 * hidden)

    def prepare(self):
        """Forgets the gradients of an earlier call."""
        self.layer.zero_grad(set_to_none=True)

    def __call__(self):
        """Runs forward and backward; returns the output."""
        output, _ = self.layer(self.x)
        output.backward(self.grad)
        return output

    def numbers(self):
        """Output and gradients of a call, as a list of tensors."""
        self.prepare()
        output = self()
        return [output, *(p.grad for p in self.layer.parameters())]


def measure(modules, model, hidden, steps, rounds):
    """Compares, then times a layer before and after the edit.

    Arguments
    ---------
    modules : dict
        before, after -> module with the layers.
    model, hidden, steps
        See `Step`.
    rounds : int
        Calls of each that are timed.

    Returns
    -------
    dict
        Columns of a result row.

    Raises
    ------
    ArithmeticError
        If a number differs.
    """
    both = {
        name: Step(module, model, hidden, steps)
        for name, module in modules.items()
    }
    for old, new in zip(*(step.numbers() for step in both.values())):
        if not torch.equal(old, new):
            raise ArithmeticError(
                f"{model}, H={hidden}, T={steps}: numbers differ"
            )
    times = timing.interleave(both, dict.fromkeys(both, 1), rounds, 0.0)
    row = {
        "model": model,
        "directions": 2,
        "hidden": hidden,
        "batch": BATCH,
        "steps": steps,
        "rounds": rounds,
    }
    for name in both:
        for column, value in timing.percentiles(times[name]).items():
            row[f"{name}_{column}"] = value
    return row


def main(argv=None):
    """Runs the tool; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.linear_backward",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument(
        "--steps", type=int, nargs="+", default=[100, 400, 1000]
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    args = parser.parse_args(argv)
    refuse_below(parser, args, hidden=1, steps=1, threads=1, rounds=1)
    if args.out.exists():
        # Of an older version: refused before any work.
        results.read_rows(args.out)
    torch.set_num_threads(args.threads)
    found = provenance(
        "benchmarks.linear_backward", sys.argv[1:] if argv is None else argv
    )
    found["speechbrain"] = version("speechbrain")
    modules = {"before": RNN, "after": edited()}
    for model, steps in product(("LiGRU", "SLiGRU"), args.steps):
        try:
            row = measure(modules, model, args.hidden, steps, args.rounds)
        except ArithmeticError as error:
            print(f"{error}: nothing is timed")
            return 1
        ratio = row["before_p50_ms"] / row["after_p50_ms"]
        print(
            f"{model:6} T={steps:<5} {row['before_p50_ms']:10.2f} ms before, "
            f"{row['after_p50_ms']:10.2f} ms after, {ratio:.2f}x",
            flush=True,
        )
        results.append_row(args.out, {**found, **row})
    return 0


if __name__ == "__main__":
    sys.exit(main())
