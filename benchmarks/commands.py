"""Reads the command lines that result rows were made by."""

import functools
import shlex

from speechbrain.utils.run_opts import RunOptions

# Options that name a run or who computes it, but not what is trained.
_NAMING = ("--seed", "--output_folder", "--results_csv", "--rnn_class")
_NAMING += ("--jit", "--device")
# Options that another cell of a table tells, or that decide nothing.
_TOLD = ("--data_folder", "--corpus", "--number_of_epochs", "--noprogressbar")
_TOLD += ("--test_only", "--test_splits", "--lm_folder", "--backend")
# They belong to the corpus, not to the system.
_SPEAKERS = ("--dev_speakers", "--test_speakers")


def parse(command):
    """What a command line gives to train.py.

    Arguments
    ---------
    command : str
        As a result row holds it: ``python train.py a.yaml --lr 0.1``, or
        with ``torchrun`` and its options in front.

    Returns
    -------
    yaml : str
        The word after the script, empty if there is none.
    options : dict
        Name, with its dashes -> its words, or None for a flag.

    Raises
    ------
    ValueError
        For a quote that is not closed.

    Example
    -------
    >>> parse("python train.py a.yaml --lr 0.1 --jit --seed=2")
    ('a.yaml', {'--lr': '0.1', '--jit': None, '--seed': '2'})
    >>> parse("torchrun --nproc_per_node=8 train.py a.yaml --lr 0.1")
    ('a.yaml', {'--nproc_per_node': '8', '--lr': '0.1'})
    """
    try:
        words = shlex.split(command)[1:]
    except ValueError as error:
        raise ValueError(f"command of a row, {command!r}: {error}") from error
    # torchrun's options, if it is torchrun, stand before the script.
    script = next((i for i, x in enumerate(words) if x.endswith(".py")), 0)
    pairs = (word.partition("=") for word in words[:script])
    options = {key: value for key, _, value in pairs}
    yaml, name = "", None
    flags = _flags()
    for word in words[script + 1 :]:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            options[name] = value if equals else None
            name = None if name in flags else name
        elif name is None:
            yaml = word
        else:
            options[name] = " ".join(filter(None, [options[name], word]))
    return yaml, options


@functools.cache
def _flags():
    actions = RunOptions._create_parser()._actions
    return {x for a in actions if a.nargs == 0 for x in a.option_strings}


def option(command, name):
    """The value of an option, or None.

    Arguments
    ---------
    command : str
        As a result row holds it.
    name : str
        With its dashes.

    Returns
    -------
    str | None

    Example
    -------
    >>> option("python train.py a.yaml --lr 0.1", "--lr")
    '0.1'
    """
    return parse(command)[1].get(name)


def other_options(command):
    """What of a recorded command line decides the result, but the layer.

    Arguments
    ---------
    command : str
        As a result row holds it.

    Returns
    -------
    tuple of str
        The YAML, and the options in the order of their names.

    Example
    -------
    >>> other_options(
    ...     "python train.py a.yaml --seed 1 --lr 0.1 --jit '--rnn_class=!x'"
    ... )
    ('a.yaml', '--lr=0.1')
    """
    yaml, options = parse(command)
    kept = sorted(item for item in options.items() if item[0] not in _NAMING)
    return (yaml, *("=".join(filter(None, item)) for item in kept))


def shown_options(others):
    """Those of ``other_options`` that no other cell of a table tells.

    Nor `speakers`.

    Example
    -------
    >>> shown_options(("a.yaml", "--corpus=x", "--lr=0.1"))
    '--lr=0.1'
    """
    left_out = _TOLD + _SPEAKERS
    return shlex.join(
        word for word in others[1:] if word.partition("=")[0] not in left_out
    )


def speakers(others):
    """Those of ``other_options`` that split a corpus.

    Example
    -------
    >>> speakers(("a.yaml", "--dev_speakers=FALR0,MAEB0", "--lr=0.1"))
    '--dev_speakers=FALR0,MAEB0'
    """
    return shlex.join(
        word for word in others[1:] if word.partition("=")[0] in _SPEAKERS
    )
