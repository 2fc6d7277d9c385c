"""A recipe's command line, without the guesses that argparse makes."""

import difflib

from speechbrain.utils.run_opts import RunOptions


def check_options(arguments, keys):
    """Refuse an option that is not written as it is called.

    SpeechBrain's parser takes ``--precis bf16`` for ``--precision``, but the
    Brain then finds no option of that name and keeps its default.

    Arguments
    ---------
    arguments : list of str
        Of the recipe's command line.
    keys : iterable of str
        The YAML's, which options may change.

    Raises
    ------
    ValueError
        Naming the option and the nearest that exists.

    Example
    -------
    >>> check_options(["a.yaml", "--precision", "bf16", "--units=8"], ["units"])
    >>> check_options(["a.yaml", "--precis=bf16"], ["units"])
    Traceback (most recent call last):
    ...
    ValueError: --precis: no such option, did you mean --precision? Allowed \
are the YAML's keys and SpeechBrain's run options (--help lists them), in full
    """
    parser = RunOptions._create_parser()
    run_options = {s for a in parser._actions for s in a.option_strings}
    allowed = run_options | {f"--{key}" for key in keys}
    for argument in arguments:
        option = argument.partition("=")[0]
        if option.startswith("--") and option not in allowed:
            longer = [name for name in allowed if name.startswith(option)]
            (nearest,) = difflib.get_close_matches(
                option, sorted(longer or allowed), n=1, cutoff=0
            )
            raise ValueError(
                f"{option}: no such option, did you mean {nearest}? Allowed "
                "are the YAML's keys and SpeechBrain's run options (--help "
                "lists them), in full"
            )
