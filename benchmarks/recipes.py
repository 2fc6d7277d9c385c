"""Trains one recipe with each recurrent layer and several seeds.

    python -m benchmarks.recipes recipes/TIMIT hparams/timit/small.yaml \\
        --data_folder /path/to/TIMIT --out build/compare --seeds 1 2 3

Run it again to go on: a run that has its rows in the result file is skipped,
one that was interrupted resumes from its last checkpoint. Rows go to
OUT/results.csv, or to --results. At the end it prints a table of means and
writes OUT/report.html. A system may have options of its own, for example to be
as large as another; it may be tested once more, with other options, repeatedly:

    --systems LiGRU LSTM:rnn_neurons=128 GRU:rnn_neurons=144,dropout=0.1
    --test lm_folder=results/lm/2223,lm_weight=0.1 --test beam_size=20

What is not named below is handed to the recipe's train.py. There a relative
path of an option *_folder, *_file or *_annotation is one of the current
folder, if it exists there, and else one of the recipe's folder. What is given
and the YAML decide what a run is: other options, another data folder or
another device are another run, in a folder of its own.
"""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
from argparse import ArgumentTypeError
from dataclasses import dataclass

import ruamel.yaml
import torch
from hyperpyyaml import resolve_references
from ruamel.yaml.error import YAMLError

from benchmarks import page, rows
from benchmarks.systems import by_name, load, options, systems, table
from speechbrain_ligru_fast.training.command_line import as_list, parse

_FAST, _STOCK = "speechbrain_ligru_fast", "speechbrain.nnet.RNN"
# Name on the command line -> the layer, and more arguments.
SYSTEMS = {
    "LiGRU": (f"{_FAST}.LiGRU",),
    "SLiGRU": (f"{_FAST}.SLiGRU",),
    "LSTM": (f"{_STOCK}.LSTM",),
    "GRU": (f"{_STOCK}.GRU",),
    "LSTM-padded": (f"{_FAST}.asr.padded.LSTM",),
    "GRU-padded": (f"{_FAST}.asr.padded.GRU",),
    "stock-LiGRU": (f"{_STOCK}.LiGRU",),
    "stock-SLiGRU": (f"{_STOCK}.SLiGRU",),
    "stock-LiGRU-jit": (f"{_STOCK}.LiGRU", "--jit"),
    "stock-SLiGRU-jit": (f"{_STOCK}.SLiGRU", "--jit"),
}
_DEFAULT = ("LiGRU", "SLiGRU", "LSTM", "GRU", "stock-LiGRU")
# What is given to each run -> this tool's own option for it.
_OWN = {
    "--seed": "--seeds",
    "--rnn_class": "--systems",
    "--data_folder": "one --data_folder for all systems",
    "--output_folder": "--out",
    "--save_folder": "--out",
    "--results_csv": "--results",
}
_PATH = re.compile(r"--\w+_(folder|file|annotations?)")


@dataclass(frozen=True)
class Run:
    """One training, or another test of what a training made."""

    name: str  # Of the training's folder, by all that decides it
    arguments: tuple  # Of train.py, but where it writes
    splits: frozenset  # The test sets, each of which gets a row
    tests: bool  # Whether it only tests

    def finished(self, found):
        """Whether each test set has a row that this run's command made."""
        wanted, done = by_name(self.arguments[1:]), set()
        for _, row in found.iterrows():
            given = options(row.get("command", ""))
            given.pop("--results_csv", None)
            (folder,) = given.pop("--output_folder", [""])
            if pathlib.Path(folder).name == self.name and given == wanted:
                done.add(row["split"])
        return bool(self.splits) and self.splits <= done


def _pairs(text):
    """Words of train.py's command line from ``key=value,key=value``."""
    # A comma within a value, as in (8, 16), is not followed by a key.
    options = re.split(r",(?=\w+=)", text)
    if not all(re.match(r"\w+=.", option) for option in options):
        raise ArgumentTypeError(f"{text!r} must be key=value,key=value")
    return [f"--{option}" for option in options]


def _system(text):
    """Name and own options from ``NAME`` or ``NAME:key=value,key=value``."""
    name, colon, rest = text.partition(":")
    if name not in SYSTEMS:
        words = f"invalid choice: {name!r} (choose from {', '.join(SYSTEMS)})"
        raise ArgumentTypeError(words)
    return name, _pairs(rest) if colon else []


def _given(words, system, recipe):
    """The user's options for one system, paths as seen from the recipe."""
    try:
        given = by_name(words)
    except ValueError as error:
        raise ValueError(f"{error} for {system}") from None
    for name, values in given.items():
        if name in _OWN:
            own = f"is given to each run by this tool; use {_OWN[name]}"
            raise ValueError(f"{name} {own}")
        if _PATH.fullmatch(name):
            given[name] = [_seen_from(recipe, value) for value in values]
    return given


def _seen_from(recipe, path):
    """A path of the current folder from another, if it exists here.

    A relative one, so that a run is the same wherever the repository lies.
    """
    if path.startswith("{"):
        sets = ruamel.yaml.YAML(typ="safe").load(path)
        moved = {str(k): _seen_from(recipe, str(v)) for k, v in sets.items()}
        return json.dumps(moved, ensure_ascii=False)
    if os.path.isabs(path) or not os.path.exists(path):
        return path
    return os.path.relpath(path, recipe.resolve())


def plan(args, rest):
    """Every run asked for, all systems of a seed before the next seed.

    Each training is followed by its further tests. What is wrong with the
    options, of this tool (`args`) or for train.py (`rest`), is raised here.
    """
    for path in (args.recipe / "train.py", args.yaml, args.data_folder):
        if not path.exists():
            raise FileNotFoundError(f"there is no {path}")
    here, data = args.recipe.resolve(), args.data_folder.resolve()
    yaml = os.path.relpath(args.yaml.resolve(), here)
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    plans = []
    for system, own in args.systems:
        layer, *more = SYSTEMS[system]
        training = {
            "--data_folder": [os.path.relpath(data, here)],
            "--rnn_class": [f"!name:{layer}"],
            "--noprogressbar": [],
            # Said, so that the row tells where it was trained.
            "--device": [device],
            **by_name(more),
            **_given([*own, *rest], system, args.recipe),
        }
        for more in (None, *args.test):
            words, test = [], _given(more or [], system, args.recipe)
            for key, of in (training | test).items():
                words += [f"{key}={of[0]}"] if len(of) == 1 else [key, *of]
            words += ["--test_only"] * bool(more)
            text, splits = _read(args.yaml, words)
            if more is None:
                named = hashlib.sha256("\n".join([text, *words]).encode())
                name = f"{system}-{named.hexdigest()[:8]}"
            plans.append((name, words, splits, bool(more)))
    return [
        Run(f"{name}-{seed}", (yaml, f"--seed={seed}", *words), *how)
        for seed in args.seeds
        for name, words, *how in plans
    ]


def _read(path, words):
    """A YAML without its comments, and the test sets that it has with words.

    Refuses options that the recipe hasn't.
    """
    _, document, _, overrides = parse([str(path), *words])
    tree = ruamel.yaml.YAML().load(resolve_references(document, overrides))
    found = tree.get("test_annotations") or tree.get("test_splits", "test")
    text = re.sub(r"(^|\s+)#.*", "", document).strip()
    return text, frozenset(map(str, as_list(found)))


def train(run, args):
    """Trains, or goes on; returns the exit status."""
    folder = (args.out / run.name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "train.py", *run.arguments]
    command += [f"--output_folder={folder}"]
    command += [f"--results_csv={args.results.resolve()}"]
    with open(folder / "output.txt", "a", encoding="utf-8") as file:
        how = {"stdout": file, "stderr": subprocess.STDOUT}
        return subprocess.run(command, cwd=args.recipe, **how).returncode


def main(argv=None):
    """Runs the tool; returns the exit status."""
    args, rest = _parser().parse_known_args(argv)
    args.results = args.results or args.out / "results.csv"
    try:
        runs = plan(args, rest)
        systems(load(args.results))  # Refuses what it can't read
    except (OSError, ValueError, KeyError, YAMLError) as error:
        print(f"recipes: {error}", file=sys.stderr)
        return 1
    failed, untrained = [], set()
    for number, run in enumerate(runs, 1):
        start = f"{number}/{len(runs)} {run.name}"
        if run.finished(load(args.results)):
            print(f"{start}: already done", flush=True)
            continue
        if run.name in untrained:
            print(f"{start}: not tested, for it is not trained")
            continue
        what = "test" if run.tests else "train"
        print(f"{start}: {what}ing in {args.out / run.name}", flush=True)
        status = train(run, args)
        if status or not run.finished(load(args.results)):
            failed.append(run)
            if not run.tests:
                untrained.add(run.name)
            log = args.out / run.name / "output.txt"
            said = log.read_text("utf-8", errors="replace").strip()
            said = said.rpartition("\n")[2] or "it said nothing"
            print(f"{start}: FAILED (exit status {status}): {said}")
            print(f"  see {log}")
    cells, report = table(systems(load(args.results))), args.out / "report.html"
    print("No rows yet." if cells.empty else cells.to_markdown(index=False))
    page.write(args.results, args.out, report)
    print(f"wrote {report}")
    return 1 if failed else 0


def _parser():
    tool = rows.parser("benchmarks.recipes", __doc__, allow_abbrev=False)
    add, path = tool.add_argument, pathlib.Path
    add("recipe", type=path, help="recipes/TIMIT ...")
    add("yaml", type=path)
    add("--data_folder", type=path, required=True)
    add("--out", type=path, required=True)
    add("--results", type=path)
    add("--seeds", type=int, nargs="+", default=[1, 2, 3])
    add("--test", action="append", type=_pairs, default=[], metavar="key=value")
    how = {"default": [(name, []) for name in _DEFAULT], "type": _system}
    how |= {"metavar": "NAME[:key=value,...]", "nargs": "+"}
    add("--systems", help=f"{', '.join(SYSTEMS)}; default: {_DEFAULT}", **how)
    return tool


if __name__ == "__main__":
    sys.exit(main())
