"""The options that a comparison hands to a recipe's train.py."""

import json
import os
import re

import ruamel.yaml

# What the comparison gives itself -> its own option for it.
_OWN = {
    "--seed": "--seeds",
    "--rnn_class": "--systems",
    "--data_folder": "one --data_folder for all systems",
    "--output_folder": "--out",
    "--save_folder": "--out",
    "--results_csv": "--results",
}
_PATH = re.compile(r"--\w+_(folder|file|annotations?)")


def parse_system(text):
    """A system of the command line and its own options.

    Arguments
    ---------
    text : str
        ``NAME`` or ``NAME:key=value,key=value``.

    Returns
    -------
    name : str
    options : list of str
        Of train.py.

    Raises
    ------
    ValueError
        If what follows the colon is no list of key=value.

    Example
    -------
    >>> parse_system("LSTM:rnn_neurons=128,cnn_channels=(8, 16)")
    ('LSTM', ['--rnn_neurons=128', '--cnn_channels=(8, 16)'])
    >>> parse_system("GRU")
    ('GRU', [])
    """
    name, colon, rest = text.partition(":")
    try:
        return name, parse_pairs(rest) if colon else []
    except ValueError:
        raise ValueError(
            f"{text!r} must be NAME or NAME:key=value,key=value"
        ) from None


def parse_pairs(text):
    """Options of train.py that are given as one word.

    Arguments
    ---------
    text : str
        ``key=value,key=value``.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If it is no such list.

    Example
    -------
    >>> parse_pairs("lm_folder=lm,lm_weight=0.1")
    ['--lm_folder=lm', '--lm_weight=0.1']
    """
    # A comma within a value, as in (8, 16), is not followed by a key.
    options = re.split(r",(?=\w+=)", text)
    if not all(re.match(r"\w+=.", option) for option in options):
        raise ValueError(f"{text!r} must be key=value,key=value")
    return [f"--{option}" for option in options]


def keys(options):
    """Names of the options, with their dashes.

    Example
    -------
    >>> keys(["--lr", "0.1", "--jit", "--seed=2"])
    ['--lr', '--jit', '--seed']
    """
    return [x.partition("=")[0] for x in options if x.startswith("--")]


def check(options, system):
    """Refuse what would be given twice.

    Arguments
    ---------
    options : list of str
        Of the user, for one system.
    system : str

    Raises
    ------
    ValueError
        If an option is the comparison's to give, or there are two of it.
    """
    found = keys(options)
    for key in found:
        if key in _OWN:
            raise ValueError(
                f"{key} is given to each run by this tool; use {_OWN[key]}"
            )
        if found.count(key) > 1:
            raise ValueError(f"{key} is given twice for {system}")


def without(options, names):
    """Options but those of the given names, and their values.

    Example
    -------
    >>> without(["--lr", "0.1", "--jit", "--seed=2"], ["--lr", "--seed"])
    ['--jit']
    """
    kept, out = [], False
    for word in options:
        if word.startswith("--"):
            out = word.partition("=")[0] in names
        if not out:
            kept.append(word)
    return kept


def from_recipe(options, recipe):
    """Paths that exist in the current folder, as seen from the recipe's.

    Those of options named ``*_folder``, ``*_file`` or ``*_annotation``, and in
    ``test_annotations``; absolute ones and such as don't exist stay. They
    become relative ones, since they are part of the
    settings, which should have one name wherever the repository is.

    Arguments
    ---------
    options : list of str
    recipe : pathlib.Path
        The folder that train.py runs in.

    Returns
    -------
    list of str
    """
    found, follows = [], False
    for word in options:
        key, equals, value = word.partition("=")
        is_path = _PATH.fullmatch(key) is not None
        if is_path and equals:
            word = f"{key}={_moved(value, recipe)}"
        elif follows and not word.startswith("--"):
            word = _moved(word, recipe)
        found.append(word)
        follows = is_path and not equals
    return found


def _moved(path, recipe):
    if path.startswith("{"):
        sets = ruamel.yaml.YAML(typ="safe").load(path)
        moved = {str(k): _moved(str(v), recipe) for k, v in sets.items()}
        return json.dumps(moved, ensure_ascii=False)
    if os.path.isabs(path) or not os.path.exists(path):
        return path
    return os.path.relpath(path, recipe.resolve())
