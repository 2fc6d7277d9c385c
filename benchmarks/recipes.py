"""Trains one recipe with each recurrent layer and several seeds.

    python -m benchmarks.recipes recipes/TIMIT hparams/timit/small.yaml \\
        --data_folder /path/to/TIMIT --out build/compare --seeds 1 2 3

Run it again to go on: a run that has its rows in the result file is skipped,
one that was interrupted resumes from its last checkpoint. What is not named
below is handed to the recipe's train.py. At the end it prints a table of
means and writes OUT/report.html.
"""

import argparse
import pathlib
import subprocess
import sys
from dataclasses import dataclass
from itertools import product

import ruamel.yaml

from benchmarks import comparison, page
from benchmarks.rows import load, where
from benchmarks.tables import NOTHING, markdown
from speechbrain_ligru_fast.asr.config import compose, settings_of

_FAST, _STOCK = "speechbrain_ligru_fast", "speechbrain.nnet.RNN"
# Name on the command line -> the layer, and more arguments.
SYSTEMS = {
    "LiGRU": (f"{_FAST}.LiGRU",),
    "SLiGRU": (f"{_FAST}.SLiGRU",),
    "LSTM": (f"{_STOCK}.LSTM",),
    "GRU": (f"{_STOCK}.GRU",),
    "stock-LiGRU": (f"{_STOCK}.LiGRU",),
    "stock-SLiGRU": (f"{_STOCK}.SLiGRU",),
    "stock-LiGRU-jit": (f"{_STOCK}.LiGRU", "--jit"),
    "stock-SLiGRU-jit": (f"{_STOCK}.SLiGRU", "--jit"),
}


@dataclass(frozen=True)
class Run:
    """One training.

    Arguments
    ---------
    system : str
        Key of SYSTEMS.
    seed : int
    settings : str
        See speechbrain_ligru_fast.asr.settings.
    arguments : tuple of str
        Of train.py, less its output folder.
    """

    system: str
    seed: int
    settings: str
    arguments: tuple

    @property
    def name(self):
        """The run's folder."""
        return f"{self.system}-{self.settings}-{self.seed}"


def plan(args, rest):
    """Every run asked for, all systems of a seed before the next seed.

    Arguments
    ---------
    args : argparse.Namespace
        Of this tool.
    rest : list of str
        For train.py.

    Returns
    -------
    list of Run
    """
    runs = []
    for seed, system in product(args.seeds, args.systems):
        layer, *more = SYSTEMS[system]
        arguments = (
            str(args.yaml.resolve()),
            "--data_folder",
            str(args.data_folder.resolve()),
            "--results_csv",
            str(args.results.resolve()),
            "--seed",
            str(seed),
            f"--rnn_class=!name:{layer}",
            "--noprogressbar",
            *more,
            *rest,
        )
        runs.append(Run(system, seed, settings_of(list(arguments)), arguments))
    return runs


def test_sets(args):
    """Names of the test sets, each of which gets a row."""
    tree = ruamel.yaml.YAML().load(compose(args.yaml))
    return tuple(tree.get("test_splits", ["test"]))


def finished(run, rows, splits):
    """Whether every test set has its row.

    Arguments
    ---------
    run : Run
    rows : pandas.DataFrame
        Of the result file.
    splits : tuple of str

    Returns
    -------
    bool
    """
    mine = where(rows, settings=run.settings, seed=str(run.seed))
    return len(mine) > 0 and set(splits) <= set(mine["split"])


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


def main(argv=None):
    """Runs the tool; returns the exit status."""
    args, rest = _parser().parse_known_args(argv)
    args.results = args.results or args.out / "results.csv"
    try:
        runs, splits = plan(args, rest), test_sets(args)
        load(args.results)
    except (OSError, ValueError, KeyError) as error:
        print(f"recipes: {error}", file=sys.stderr)
        return 1
    failed = []
    for number, run in enumerate(runs, 1):
        start = f"{number}/{len(runs)} {run.name}"
        if finished(run, load(args.results), splits):
            print(f"{start}: already done", flush=True)
            continue
        print(f"{start}: training in {args.out / run.name}", flush=True)
        status = train(run, args.recipe, args.out)
        if status or not finished(run, load(args.results), splits):
            failed.append(run)
            log = args.out / run.name / "output.txt"
            print(f"{start}: FAILED (exit status {status}), see {log}")
    found = comparison.means(load(args.results))
    cells = comparison.cells(found)
    print(markdown(comparison.HEADER, cells) if cells else NOTHING)
    report = args.out / "report.html"
    page.write(args.results, args.out, report)
    print(f"wrote {report}")
    return 1 if failed else 0


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
        choices=SYSTEMS,
        default=["LiGRU", "SLiGRU", "LSTM", "GRU", "stock-LiGRU"],
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
