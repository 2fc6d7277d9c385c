"""Reads the command lines that result rows were made by."""

import shlex


def parse(command):
    """What a command line gives to train.py.

    Arguments
    ---------
    command : str
        As a result row holds it: ``python train.py a.yaml --lr 0.1``.

    Returns
    -------
    yaml : str
        The word before the options, empty if there is none.
    options : dict
        Name, with its dashes -> its value, or None for a flag.

    Example
    -------
    >>> parse("python train.py a.yaml --lr 0.1 --jit --seed=2")
    ('a.yaml', {'--lr': '0.1', '--jit': None, '--seed': '2'})
    """
    yaml, options, name = "", {}, None
    for word in shlex.split(command)[2:]:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            options[name] = value if equals else None
        elif name is None:
            yaml = word
        else:
            options[name] = word
    return yaml, options


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
