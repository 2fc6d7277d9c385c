"""Checks parity, then times every implementation in one process.

    python -m benchmarks.run                  all cases, at most ten minutes
    python -m benchmarks.run --quick          a few small ones, under a minute
    python -m benchmarks.run --cases '*-t400-*' --impls numba speechbrain
    python -m benchmarks.run --cases '*-t1000-*' '*-t2000-*' --rounds 3
    python -m benchmarks.run --deep --impls numba numba-recompute

The long cases are timed only by name. The last line compares, in stacks of
layers, keeping the gates with computing them again.

Rows are appended to the result file, in build/benchmarks unless --out names
another: `--out benchmarks/results/layers.csv` adds them to the committed ones.
When a parity check fails none is, and the exit status is 1.
"""

import argparse
import fnmatch
import itertools
import logging
import pathlib
import platform
import sys
from dataclasses import replace
from importlib.metadata import version

import torch

from benchmarks import impls, memory, timing, verify
from benchmarks.arguments import refuse_below
from benchmarks.cases import (
    DEEP_CASES,
    LIGRU_MODELS,
    NAMED_CASES,
    PARITY_CASES,
    QUICK_PARITY_CASES,
    QUICK_TIMING_CASES,
    TIMING_CASES,
)
from benchmarks.outputs import FOLDER
from benchmarks.provenance import provenance
from benchmarks.step import Step
from speechbrain_ligru_fast.asr import results

OUT = FOLDER / "layers.csv"
# Without rivals, they are no lines of the layers' tables.
DEEP_OUT = OUT.with_name("recompute.csv")

# How many failed comparisons are printed in full.
SHOWN = 20


def _parse(argv):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--cases",
        nargs="+",
        metavar="PATTERN",
        help="names of timing cases, with wildcards; default: all but long",
    )
    parser.add_argument(
        "--impls", nargs="+", help="implementations; default: all that can run"
    )
    parser.add_argument(
        "--out", type=pathlib.Path, help="default: in build/benchmarks"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--rounds", type=int, help="least rounds; default 5, quick 3"
    )
    parser.add_argument(
        "--min-seconds",
        type=float,
        help="least time on the rounds of one shape; default 5, quick 0",
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer cases and rounds"
    )
    parser.add_argument(
        "--deep", action="store_true", help="stacks of layers instead"
    )
    args = parser.parse_args(argv)
    if args.out is None:
        args.out = DEEP_OUT if args.deep else OUT
    if args.rounds is None:
        args.rounds = 3 if args.quick else 5
    if args.min_seconds is None:
        args.min_seconds = 0.0 if args.quick else 5.0
    refuse_below(parser, args, threads=1, rounds=1, min_seconds=0)
    try:
        if args.quick and args.cases is None and not args.deep:
            args.cases = list(QUICK_TIMING_CASES)
        else:
            there = TIMING_CASES + (NAMED_CASES if args.cases else ())
            args.cases = select(DEEP_CASES if args.deep else there, args.cases)
        args.impls = args.impls or impls.names()
        impls.check_names(args.impls)
        if args.out.is_dir():
            raise ValueError(f"--out must be a CSV file, got folder {args.out}")
        for path in (args.out, _parity_out(args.out)):
            if path.exists():
                results.read_rows(path)
    except ValueError as error:
        parser.error(str(error))
    return args


def _parity_out(out):
    return out.with_name(f"parity{out.suffix}")


def select(cases, patterns):
    """Cases whose names match one of the patterns; all without patterns.

    Arguments
    ---------
    cases : iterable of Case
        What there is.
    patterns : list of str
        Shell wildcards, or None.

    Returns
    -------
    list
        The cases, in their order.

    Raises
    ------
    ValueError
        If a pattern matches none.

    Example
    -------
    >>> [case.name for case in select(TIMING_CASES, ["GRU-h256*infer"])]
    ['GRU-h256-f256-b8-t100-bi-fp32-infer']
    """
    names = [case.name for case in cases]
    for pattern in patterns or ():
        if not fnmatch.filter(names, pattern):
            raise ValueError(
                f"cases: {pattern!r} matches none; allowed: " + ", ".join(names)
            )
    return [
        case
        for case in cases
        if patterns is None
        or any(fnmatch.fnmatch(case.name, pattern) for pattern in patterns)
    ]


def main(argv=None):
    """Runs the tool; returns the exit status."""
    args = _parse(argv)
    torch.set_num_threads(args.threads)
    stamp, origin = _stamp(sys.argv[1:] if argv is None else argv)
    print(f"parity of {', '.join(args.impls)}", flush=True)
    comparisons = verify.check_options(
        args.impls, QUICK_PARITY_CASES if args.quick else PARITY_CASES
    ) + verify.check_timed(args.impls, args.cases)
    failed = [comparison for comparison in comparisons if not comparison.ok]
    if failed:
        for comparison in failed[:SHOWN]:
            print(f"FAILED {comparison}")
        print(
            f"{len(failed)} of {len(comparisons)} comparisons failed: "
            "nothing is timed, nothing is written"
        )
        return 1
    print(f"all {len(comparisons)} comparisons passed")
    complete = args.cases == list(TIMING_CASES) and not args.quick
    origin["scope"] = "all" if complete else "part"
    for summary in verify.summarise(comparisons):
        results.append_row(
            _parity_out(args.out), {**stamp, **summary, **origin}
        )
    for group in _groups(args.cases):
        for measured in measure(group, args):
            results.append_row(args.out, {**stamp, **measured, **origin})
    return 0


def _stamp(argv):
    """Columns before and after what is measured: when, on what, from what."""
    found = provenance("benchmarks.run", argv)
    stamp = {
        "date": found.pop("date"),
        "commit": found.pop("commit"),
        "device": found.pop("device"),
        "driver": "",
        "torch": found.pop("torch"),
    }
    origin = {
        **found,
        "isa": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "speechbrain": version("speechbrain"),
        "numba": version("numba"),
    }
    return stamp, origin


def _groups(cases):
    """Cases that run interleaved: equal input and mode."""

    def key(case):
        # An LSTM of equal size has fewer units than features.
        return replace(case, hidden=case.features).shape, case.mode

    return [
        list(group)
        for _, group in itertools.groupby(sorted(cases, key=key), key=key)
    ]


def measure(cases, args):
    """Times the implementations of some cases, interleaved.

    Arguments
    ---------
    cases : list of Case
        Cases of one shape and mode.
    args : argparse.Namespace
        With impls, threads, rounds and min_seconds.

    Returns
    -------
    list
        One dict of result columns per case and implementation.
    """
    steps = {
        (impl, case): Step(impl, case)
        for case in cases
        for impl in args.impls
        if impls.runs(impl, case)
    }
    warmups = {key: impls.warmup_calls(key[0]) for key in steps}
    candidates = dict(steps)
    if cases[0].op == "scan":
        candidates[timing.GEMM] = timing.Gemm()
        warmups[timing.GEMM] = 2
    times = timing.interleave(
        candidates, warmups, args.rounds, args.min_seconds
    )
    return [
        _row(impl, case, times[impl, case], times.get(timing.GEMM), args)
        for impl, case in steps
    ]


def _row(impl, case, times, gemm_times, args):
    row = {
        "model": case.model,
        "impl": impl,
        "directions": case.directions,
        "layers": case.layers,
        "features": case.features,
        "hidden": case.hidden,
        "batch": case.batch,
        "steps": case.steps,
        "dtype": case.dtype,
        "mode": case.mode,
        **timing.percentiles(times),
        "peak_mb": "",
        "op": case.op,
        "auto": "",
        "rounds": len(times),
        "scan_gflops": "",
        "gemm_gflops": "",
        "gemm_ratio": "",
    }
    if case.model in LIGRU_MODELS and impl == impls.auto_backend(case):
        row["auto"] = "yes"
    if gemm_times:
        scan = timing.scan_flops(case) / row["p50_ms"] / 1e6
        gemm_ms = timing.percentiles(gemm_times)["p50_ms"]
        gemm = timing.Gemm.flops / gemm_ms / 1e6
        row["scan_gflops"] = round(scan, 2)
        row["gemm_gflops"] = round(gemm, 2)
        row["gemm_ratio"] = round(scan / gemm, 4)
    if case.memory and case.mode == "train" and memory.can_measure():
        row["peak_mb"] = round(memory.peak_mb(impl, case, args.threads), 1)
    print(
        f"{case.name:45} {impl:16} {row['p50_ms']:10.2f} ms "
        + (f"{row['gemm_ratio']:.2f} of GEMM" if gemm_times else "")
        + (f"{row['peak_mb']} MiB" if row["peak_mb"] else ""),
        flush=True,
    )
    return row


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    sys.exit(main())
