"""The trainings of a comparison, and which of them are done."""

import re
import shlex
from dataclasses import dataclass
from itertools import product

import ruamel.yaml
import torch
from hyperpyyaml import resolve_references

from benchmarks import options
from benchmarks.commands import option
from benchmarks.rows import where
from speechbrain_ligru_fast.asr.config import changed, parse
from speechbrain_ligru_fast.asr.corpora.manifest import as_list
from speechbrain_ligru_fast.asr.fingerprint import (
    name_settings,
    read_settings,
)
from speechbrain_ligru_fast.asr.provenance import describe_device
from speechbrain_ligru_fast.asr.results import name_lm

_FAST, _STOCK = "speechbrain_ligru_fast", "speechbrain.nnet.RNN"
_PADDED = f"{_FAST}.asr.padded"
# Name on the command line -> the layer, and more arguments.
SYSTEMS = {
    "LiGRU": (f"{_FAST}.LiGRU",),
    "SLiGRU": (f"{_FAST}.SLiGRU",),
    "LSTM": (f"{_STOCK}.LSTM",),
    "GRU": (f"{_STOCK}.GRU",),
    "LSTM-padded": (f"{_PADDED}.LSTM",),
    "GRU-padded": (f"{_PADDED}.GRU",),
    "stock-LiGRU": (f"{_STOCK}.LiGRU",),
    "stock-SLiGRU": (f"{_STOCK}.SLiGRU",),
    "stock-LiGRU-jit": (f"{_STOCK}.LiGRU", "--jit"),
    "stock-SLiGRU-jit": (f"{_STOCK}.SLiGRU", "--jit"),
}


@dataclass(frozen=True)
class Run:
    """One training, or another test of what a training made.

    Arguments
    ---------
    system : str
        Key of SYSTEMS.
    seed : int
    settings : str
        See speechbrain_ligru_fast.asr.fingerprint.
    arguments : tuple of str
        Of train.py, less its output folder.
    splits : tuple of str
        The test sets, each of which gets a row.
    lm : str
        The rows' cell, see speechbrain_ligru_fast.asr.results.name_lm.
    device : str
        ``cpu`` or ``cuda``.
    trained_as : str | None
        For a test, the settings of its training.
    """

    system: str
    seed: int
    settings: str
    arguments: tuple
    splits: tuple
    lm: str
    device: str
    trained_as: str | None = None

    @property
    def name(self):
        """The run's folder, that of its training."""
        name = f"{self.system}-{self.trained_as or self.settings}-{self.seed}"
        return name if self.device == "cpu" else f"{name}-{self.device}"


def plan(args, rest):
    """Every run asked for, all systems of a seed before the next seed.

    Each training is followed by its further tests.

    Arguments
    ---------
    args : argparse.Namespace
        Of this tool.
    rest : list of str
        For train.py.

    Returns
    -------
    list of Run

    Raises
    ------
    ValueError
        If an option is this tool's to give, or is given twice.
    FileNotFoundError
        If there is no such recipe or data folder.
    KeyError
        If an option names a key that the YAML does not have.
    """
    for path in (args.recipe / "train.py", args.data_folder):
        if not path.exists():
            raise FileNotFoundError(f"there is no {path}")
    runs = []
    for seed, (system, own) in product(args.seeds, args.systems):
        given = options.from_recipe([*own, *rest], args.recipe)
        options.check(given, system)
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
            *given,
        )
        if "--device" not in options.keys(given):
            # Said, so that the row tells where it was trained.
            default = "cuda:0" if torch.cuda.is_available() else "cpu"
            arguments += ("--device", default)
        training = _run(system, seed, arguments)
        runs.append(training)
        for test in args.test:
            more = options.from_recipe(test, args.recipe)
            options.check(more, system)
            same = options.without(arguments, options.keys(more))
            tested = (*same, *more, "--test_only")
            runs.append(_run(system, seed, tested, training.settings))
    return runs


def _run(system, seed, arguments, trained_as=None):
    _, document, run_opts, overrides = parse(list(arguments))
    written = changed(document, overrides)
    settings = name_settings(read_settings(written, run_opts))
    tree = ruamel.yaml.YAML().load(resolve_references(document, overrides))
    return Run(
        system,
        seed,
        settings,
        arguments,
        splits=tuple(
            as_list(
                tree.get("test_annotations") or tree.get("test_splits", "test")
            )
        ),
        lm=name_lm(tree.get("lm_folder")),
        device=run_opts["device"].partition(":")[0],
        trained_as=trained_as,
    )


def finished(run, rows):
    """Whether every test set has its row, of the run's device and LM.

    Arguments
    ---------
    run : Run
    rows : pandas.DataFrame
        Of the result file.

    Returns
    -------
    bool
    """
    mine = where(rows, settings=run.settings, seed=str(run.seed), lm=run.lm)
    done = {
        row["split"] for _, row in mine.iterrows() if _device(row) == run.device
    }
    return len(done) > 0 and set(run.splits) <= done


def _device(row):
    """``cpu`` or ``cuda``: what the row was computed on."""
    found = option(row.get("command", ""), "--device")
    if found:
        return found.partition(":")[0]
    return "cpu" if row.get("device") == describe_device("cpu") else "cuda"


def other_corpus(run, rows, recipe, out, data_folder):
    """Data that a row or the folder of a run is of, but not this time.

    Two corpora in one layout differ in nothing that names a run. A folder
    that is no more is taken to have moved.

    Arguments
    ---------
    run : Run
    rows : pandas.DataFrame
        Of the result file.
    recipe, out, data_folder : pathlib.Path

    Returns
    -------
    pathlib.Path | None
    """
    mine = where(rows, settings=run.settings, seed=str(run.seed))
    found = [
        option(command, "--data_folder") for command in mine.get("command", ())
    ]
    hparams = out / run.name / "hyperparams.yaml"
    if hparams.exists():
        # A process that was killed may have left half a file.
        line = re.search(r"^data_folder: .*", hparams.read_text("utf-8"), re.M)
        if line:
            yaml = ruamel.yaml.YAML(typ="safe")
            found.append(yaml.load(line[0])["data_folder"])
    for folder in filter(None, found):
        folder = recipe.resolve() / folder
        if folder.exists() and folder.resolve() != data_folder.resolve():
            return folder.resolve()
    return None


def other_annotation(run, rows, recipe):
    """An annotation that a row of the run is of, but the run isn't.

    Where annotations lie is no part of a run's name, either.

    Arguments
    ---------
    run : Run
    rows : pandas.DataFrame
        Of the result file.
    recipe : pathlib.Path

    Returns
    -------
    str | None
        Which, and what it was and is.
    """
    now = _annotations(shlex.join(["train.py", *run.arguments]), recipe)
    mine = where(rows, settings=run.settings, seed=str(run.seed))
    for command in mine.get("command", ()):
        then = _annotations(command, recipe)
        # Another test of it may be of other sets, by other names.
        names = {name for name in (*now, *then) if not name.startswith("test")}
        for name in sorted(names | (now.keys() & then.keys())):
            if then.get(name) != now.get(name):
                return f"{name} was {then.get(name)} and is {now.get(name)}"
    return None


def _annotations(command, recipe):
    found = {}
    for key in ("train_annotation", "valid_annotation", "test_annotations"):
        value = option(command, f"--{key}") or ""
        if value.startswith("{"):
            sets = ruamel.yaml.YAML(typ="safe").load(value)
            found |= {f"{key}' {k}": path for k, path in sets.items()}
        elif value:
            found[key] = value
    return {
        name: str((recipe.resolve() / path).resolve())
        for name, path in found.items()
    }
