"""A report of trained systems in one HTML file.

    python -m benchmarks.page RESULTS_CSV RUNS --out report.html

RUNS is the folder that `python -m benchmarks.recipes` trained in. The page
holds its figures and needs no network.
"""

import argparse
import pathlib
import sys
from collections import defaultdict

import jinja2
import numpy as np
import pandas as pd

from benchmarks import alignments, comparison, curves, trainings
from benchmarks.commands import option
from benchmarks.rows import load
from speechbrain_ligru_fast.asr.results import NAMES_OF_A_TEST, name_test

_TEMPLATE = pathlib.Path(__file__).with_suffix(".html")
# A part of the page shows rows that are equal in these.
_PART = ["recipe", "corpus", "split", "device"]
# What tells two systems of a layer and an implementation apart, in words
# first: their settings are a number.
_NAMED = ["lm", "options", "threads", "precision", "epochs"]
_NAMED += [*comparison.MANIFESTS, "settings"]
# What is said of a training, not of a test.
_TRAINED = ["rnn", "impl", "threads", "precision", "epochs"]
_WORST = 5


def run_folder(runs, row):
    """Where the system of a result row was trained, or None.

    Arguments
    ---------
    runs : pathlib.Path
    row : dict-like

    Returns
    -------
    pathlib.Path | None

    Example
    -------
    >>> runs = getfixture("tmp_path")
    >>> (runs / "LSTM-1f62221e-2").mkdir()
    >>> command = "python train.py a.yaml --output_folder ../x/LSTM-1f62221e-2"
    >>> run_folder(runs, {"command": command}).name
    'LSTM-1f62221e-2'
    """
    name = option(row.get("command", ""), "--output_folder")
    folder = runs / pathlib.Path(name).name if name else None
    return folder if folder and folder.is_dir() else None


def write(results_csv, runs, out):
    """Write the page.

    Arguments
    ---------
    results_csv, runs, out : path-like
        Result rows, folder of the trainings, file to write.
    """
    rows = comparison.repetitions(load(results_csv))
    found = comparison.means(rows)
    recipes = rows.groupby(_PART, sort=False) if len(rows) else ()
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(_TEMPLATE.read_text("utf-8"))
    page = template.render(
        title="Trained systems",
        source=pathlib.Path(results_csv).name,
        header=comparison.HEADER,
        lines=comparison.cells(found),
        parts=[_part(name, same, pathlib.Path(runs)) for name, same in recipes],
    )
    out = pathlib.Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")


def _part(name, rows, runs):
    """What the page shows of one recipe's test set."""
    systems = []
    # An older file has rows without threads or epochs.
    for _, same in rows.groupby(comparison.GROUP, sort=False, dropna=False):
        row = same.iloc[0]
        test = name_test(*(row[key] for key in NAMES_OF_A_TEST))
        for _, row in same.iterrows():
            folder = run_folder(runs, row)
            texts = folder and folder / f"texts_{test}.csv"
            if not texts or not texts.exists():
                continue
            worst = alignments.worst(alignments.read_texts(texts), _WORST)
            label = f"{_label(row, rows)}: seed {row['seed']}"
            systems.append({"label": label, "worst": worst})
            # One seed's utterances show what a system confuses.
            break
    metric = "PER" if rows["wer"].isna().all() else "WER"
    figures = _figures(rows, runs, metric)
    return {"title": ", ".join(name), "figures": figures, "systems": systems}


def _figures(rows, runs, metric):
    """Curves and bars: one a training, however often it was tested."""
    seconds = defaultdict(list)
    for label, same in _trainings(rows):
        seconds[label] += list(same.drop_duplicates("seed")["epoch_s"])
    # A test elsewhere than its training tells no time of an epoch.
    seconds = {
        label: np.nanmean(values)
        for label, values in seconds.items()
        if not np.isnan(values).all()
    }
    logs = training_logs(rows, runs)
    figures = []
    if seconds:
        figures = [("Time of an epoch", curves.epoch_bars(seconds))]
    if logs:
        figures = [
            ("Error by training time", curves.error_by_time(logs, metric)),
            ("Loss: training solid, development dashed", curves.losses(logs)),
            *figures,
        ]
    return figures


def training_logs(rows, runs):
    """The logs of the trainings behind result rows.

    Arguments
    ---------
    rows : pandas.DataFrame
        `comparison.repetitions` of one recipe, corpus and device.
    runs : pathlib.Path
        Has a folder for each training, with its ``train_log.txt``.

    Returns
    -------
    dict
        Label of a system -> list of `curves.read_log`'s frames, one a seed;
        of those that have a log.
    """
    logs = defaultdict(list)
    for label, same in _trainings(rows):
        folders = {run_folder(runs, row) for _, row in same.iterrows()}
        frames = [_log(folder) for folder in sorted(filter(None, folders))]
        logs[label] += [frame for frame in frames if len(frame)]
    return {label: frames for label, frames in logs.items() if frames}


def _trainings(rows):
    """Label and rows of each system, however often it was tested."""
    rows = rows.assign(training=[_training(row) for _, row in rows.iterrows()])
    first = rows.drop_duplicates("training").assign(lm="")
    for training, same in rows.groupby("training", sort=False):
        yield _label(first[first["training"] == training].iloc[0], first), same


def _training(row):
    """What the trainings of a system that differ in their seed share."""
    cells = [str(row[key]) for key in _TRAINED]
    return "|".join([*cells, trainings.system(row)])


def _log(folder):
    """The epochs of a training; none if it logged none."""
    path = folder / "train_log.txt"
    return curves.read_log(path) if path.exists() else ()


def _label(row, rows):
    """Layer and implementation; more where that names two systems."""
    label = f"{row['rnn']}, {row['impl']}"
    same = rows[(rows["rnn"] == row["rnn"]) & (rows["impl"] == row["impl"])]
    alike = same
    for column in _NAMED:
        value = _cell(row[column])
        # A number that says nothing, where words have told them apart.
        told = alike if column == "settings" else same
        if told[column].nunique(dropna=False) > 1:
            if column == "options":
                own = comparison.own_options(value, same[column])
                shared = "other " if own != value else ""
                label += f", {own or f'no {shared}options'}"
            else:
                label += f", {column}: {value}"
        alike = alike[alike[column].map(_cell) == value]
    return label


def _cell(value):
    if isinstance(value, str):
        return value
    return "unknown" if pd.isna(value) else f"{value:.0f}"


def main(argv=None):
    """Runs the tool; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results_csv", type=pathlib.Path)
    parser.add_argument("runs", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default="report.html")
    args = parser.parse_args(argv)
    if not args.results_csv.is_file():
        print(f"page: no such file: {args.results_csv}", file=sys.stderr)
        return 1
    try:
        write(args.results_csv, args.runs, args.out)
    except (OSError, ValueError) as error:
        print(f"page: {error}", file=sys.stderr)
        return 1
    print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
