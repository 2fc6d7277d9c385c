"""Which result rows are tests of one training, and what they say of it."""

import pathlib
import re

from benchmarks.commands import option, parse

# Trainings of one name that differ in these are two.
_KEY = "device threads corpus recipe rnn impl precision epochs seed".split()
_KEY += ["train_manifest", "valid_manifest"]
_UNKNOWN = "unknown.."


def system(row):
    """What the trainings of a system that differ in their seed are called.

    Tests with a language model, or another search, have other settings but
    are of one training, whose settings its folder is called by.

    Arguments
    ---------
    row : dict-like
        With seed, settings and command.

    Returns
    -------
    str
        Empty for a row that tells nothing.

    Example
    -------
    >>> command = "python train.py a.yaml --output_folder ../x/LSTM-1f62221e-2"
    >>> system({"seed": "2", "settings": "e77148e2", "command": command})
    'LSTM-1f62221e'
    """
    # As `python -m benchmarks.recipes` calls it.
    name = re.fullmatch(rf"(.+)-{row['seed']}(|-cuda)", _folder(row))
    return "".join(name.groups()) if name else row["settings"]


def _folder(row):
    return pathlib.Path(option(row["command"], "--output_folder") or "").name


def settle(rows):
    """Gives all rows of a training its epoch's time and its first commit.

    Both belong to the training, whatever was tested: a later test may know
    the time better, and only an earlier one the commit.

    Arguments
    ---------
    rows : pandas.DataFrame
        Of recipes.csv, oldest row first.

    Returns
    -------
    pandas.DataFrame
        A copy, with the newest ``epoch_s`` of each training.

    Example
    -------
    >>> import pandas as pd
    >>> cells = dict.fromkeys(_KEY, "x") | {"settings": "a", "command": ""}
    >>> rows = pd.DataFrame([cells, cells]).assign(epoch_s=[3.0, 4.0])
    >>> settle(rows)["epoch_s"].tolist()
    [4.0, 4.0]
    """
    # A row that names nothing is a training of its own.
    names = [
        system(row) or _folder(row) or f"row {at}"
        for at, row in rows.iterrows()
    ]
    groups = rows.assign(_training=names).groupby(
        ["_training", *_KEY], dropna=False, sort=False
    )
    rows = rows.assign(epoch_s=groups["epoch_s"].transform("last"))
    if "commit" not in rows:
        return rows
    for index in groups.groups.values():
        same = rows.loc[index]
        first = set(filter(None, map(_first, same["commit"], same["command"])))
        # Of two beginnings it is not known which one a test is of.
        if len(first) == 1:
            begun = f"{first.pop()}.."
            rows.loc[index, "commit"] = [
                commit.replace(_UNKNOWN, begun) for commit in same["commit"]
            ]
    return rows


def _first(commit, command):
    """The commit that a training began with, as far as a row tells."""
    first, dots, _ = commit.partition("..")
    if first == "unknown" or (not dots and "--test_only" in parse(command)[1]):
        return None
    return first
