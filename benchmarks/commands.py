"""Reads the command lines that result rows were made by."""

import shlex


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
    >>> command = "python train.py a.yaml --lr 0.1 --seed=2"
    >>> option(command, "--lr"), option(command, "--seed")
    ('0.1', '2')
    >>> option(command, "--device") is None
    True
    """
    words = shlex.split(command)
    for word, following in zip(words, [*words[1:], None]):
        key, equals, value = word.partition("=")
        if key == name:
            return value if equals else following
    return None
