"""A tool's command line, where its rows come from, and where they go."""

import argparse
import datetime
import pathlib
import sys
import uuid

import numpy as np
import torch

from speechbrain_ligru_fast.training.provenance import (
    describe_command,
    describe_commit,
    describe_cpu,
    describe_device,
)
from speechbrain_ligru_fast.training.results import append_row, check_results

# Not benchmarks/results: what is measured elsewhere would change the committed
# tables, which a test compares with their rows.
OUT = pathlib.Path(__file__).resolve().parents[1] / "build/benchmarks"


def positive(text):
    """A number of an option, from 1 on."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text}, allowed: 1 and more")
    return int(text)


def parser(tool, text, lists=(), **options):
    """A parser whose help is a module's docstring, as it stands.

    `lists` are pairs of an option that takes several numbers and its default.

    Example
    -------
    >>> parser("benchmarks.layers", "How fast?").prog
    'python -m benchmarks.layers'
    """
    found = argparse.ArgumentParser(
        prog=f"python -m {tool}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **options,
    )
    several = {"nargs": "+", "type": positive}
    for name, default in lists:
        found.add_argument(f"--{name}", default=default, **several)
    return found


def begin(tool, argv=None, **libraries):
    """What a parser's tool is asked for, and the cells its rows begin with.

    Adds the options that all tools have which time something.
    """
    words = sys.argv[1:] if argv is None else argv
    name = tool.prog.split()[-1]
    out = OUT / f"{name.partition('.')[2]}.csv"
    tool.add_argument("--out", type=pathlib.Path, default=out)
    tool.add_argument("--seconds", type=float, default=5.0, help="of a shape")
    args = tool.parse_args(words)
    try:
        check_results(args.out)
    except ValueError as error:
        tool.error(f"--out: {error}")
    if isinstance(args.threads, int):
        torch.set_num_threads(args.threads)
    return args, provenance(name, words) | libraries


def write(out, origin, rows):
    """Appends rows to a file as they come."""
    for row in rows:
        append_row(out, origin | row)


def quantiles(column, values, digits=4):
    """Cells of the 20th, 50th and 80th of a hundred.

    Example
    -------
    >>> quantiles("p{}_ms", [1.0, 2.0, 3.0])["p50_ms"]
    np.float64(2.0)
    """
    found = np.percentile(values, (20, 50, 80)).round(digits)
    return {column.format(q): x for q, x in zip((20, 50, 80), found)}


def compared(own, others):
    """Cells of milliseconds in turns, and of their ratios to another's."""
    ratios = np.divide(own, others)
    return quantiles("p{}_ms", own) | quantiles("ratio_p{}", ratios)


def provenance(tool, argv, device="cpu"):
    """The cells that each row of one run begins with.

    Example
    -------
    >>> found = provenance("benchmarks.layers", ["--hidden", "8"])
    >>> found["command"], len(found["run"])
    ('python -m benchmarks.layers --hidden 8', 12)
    """
    now = datetime.datetime.now(datetime.UTC)
    return {
        "date": now.isoformat(timespec="seconds"),
        "commit": describe_commit(),
        "device": describe_device(device),
        "cpu": describe_cpu(),
        "torch": torch.__version__,
        "run": uuid.uuid4().hex[:12],
        "threads": torch.get_num_threads(),
        "command": describe_command(["-m", tool, *argv]),
    }
