"""Trains one recipe with each recurrent layer and several seeds.

    python -m benchmarks.recipes recipes/TIMIT hparams/timit/small.yaml \\
        --data_folder /path/to/TIMIT --out build/compare --seeds 1 2 3

Run it again to go on: a run that has its rows in the result file is skipped,
one that was interrupted resumes from its last checkpoint. At the end it
prints a table of means and writes OUT/report.html.

A system may have options of its own, for example to be as large as another:

    --systems LiGRU LSTM:rnn_neurons=128 GRU:rnn_neurons=144,dropout=0.1

A trained system may be tested once more, with other options:

    --test lm_folder=results/lm/2223,lm_weight=0.1

What is not named below is handed to the recipe's train.py. There a relative
path of an option *_folder, *_file or *_annotation is one of the current
folder, if it exists there, and else one of the recipe's folder.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys

from ruamel.yaml.error import YAMLError

from benchmarks import comparison, page
from benchmarks.options import parse_pairs, parse_system
from benchmarks.rows import load
from benchmarks.runs import (
    SYSTEMS,
    finished,
    other_annotation,
    other_corpus,
    plan,
)
from benchmarks.tables import NOTHING, markdown

_DEFAULT = ("LiGRU", "SLiGRU", "LSTM", "GRU", "stock-LiGRU")


def train(run, recipe, out):
    """Train, or go on; returns the exit status."""
    folder = (out / run.name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "train.py", *run.arguments]
    command += ["--output_folder", str(folder)]
    with open(folder / "output.txt", "a", encoding="utf-8") as file:
        return subprocess.run(
            command, cwd=recipe, stdout=file, stderr=subprocess.STDOUT
        ).returncode


def keep_log(folder, results):
    """Copy a training's log to beside the result file, if that is elsewhere.

    Curves can then be drawn where the rows are, without the trainings.

    Arguments
    ---------
    folder : pathlib.Path
        Of a training.
    results : pathlib.Path
        The result file; the copy is ``trainings/NAME/train_log.txt`` there.
    """
    log = folder / "train_log.txt"
    kept = results.parent / "trainings" / folder.name / log.name
    if log.exists() and results.parent.resolve() != folder.parent.resolve():
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(log, kept)


def main(argv=None):
    """Runs the tool; returns the exit status."""
    args, rest = _parser().parse_known_args(argv)
    args.results = args.results or args.out / "results.csv"
    try:
        runs = plan(args, rest)
        _check_corpora(runs, load(args.results), args)
    except (OSError, ValueError, KeyError, YAMLError) as error:
        print(f"recipes: {error}", file=sys.stderr)
        return 1
    failed, untrained = [], set()
    for number, run in enumerate(runs, 1):
        start = f"{number}/{len(runs)} {run.name}"
        if finished(run, load(args.results)):
            print(f"{start}: already done", flush=True)
            continue
        if run.name in untrained:
            print(f"{start}: not tested, for it is not trained")
            continue
        what = "testing" if run.trained_as else "training"
        print(f"{start}: {what} in {args.out / run.name}", flush=True)
        status = train(run, args.recipe, args.out)
        keep_log(args.out / run.name, args.results)
        if status or not finished(run, load(args.results)):
            failed.append(run)
            if not run.trained_as:
                untrained.add(run.name)
            log = args.out / run.name / "output.txt"
            print(f"{start}: FAILED (exit status {status}): {_last_line(log)}")
            print(f"  see {log}")
    found = comparison.means(load(args.results))
    cells = comparison.cells(found)
    print(markdown(comparison.HEADER, cells) if cells else NOTHING)
    report = args.out / "report.html"
    page.write(args.results, args.out, report)
    print(f"wrote {report}")
    return 1 if failed else 0


def _last_line(log):
    """What a training said last: its error, if it failed."""
    text = log.read_text("utf-8", errors="replace") if log.exists() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _check_corpora(runs, rows, args):
    for run in runs:
        other = other_corpus(run, rows, args.recipe, args.out, args.data_folder)
        if other:
            raise ValueError(
                f"{run.name} was trained on {other}, not on "
                f"{args.data_folder.resolve()}; give another --corpus NAME, or "
                "another --out and --results"
            )
        other = other_annotation(run, rows, args.recipe)
        if other:
            raise ValueError(
                f"{run.name} has rows of other data: {other}; give another "
                "--corpus NAME, or another --out and --results"
            )


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recipes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("recipe", type=pathlib.Path, help="recipes/TIMIT ...")
    parser.add_argument("yaml", type=pathlib.Path)
    parser.add_argument("--data_folder", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument(
        "--results", type=pathlib.Path, help="default: OUT/results.csv"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--systems",
        nargs="+",
        type=_system,
        metavar="NAME[:key=value,...]",
        default=[(name, []) for name in _DEFAULT],
        help=f"{', '.join(SYSTEMS)}; default: {' '.join(_DEFAULT)}",
    )
    parser.add_argument(
        "--test",
        action="append",
        type=_pairs,
        default=[],
        metavar="key=value,...",
        help="another test of each trained system; may be given repeatedly",
    )
    return parser


def _pairs(text):
    try:
        return parse_pairs(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(error) from error


def _system(text):
    try:
        name, given = parse_system(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(error) from error
    if name not in SYSTEMS:
        raise argparse.ArgumentTypeError(
            f"invalid choice: {name!r} (choose from {', '.join(SYSTEMS)})"
        )
    return name, given


if __name__ == "__main__":
    sys.exit(main())
