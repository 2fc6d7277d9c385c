"""A recipe's command line, without the guesses that argparse makes."""

import dataclasses
import difflib
import re

from speechbrain.utils.run_opts import RunOptions

_INTERVALS = ("ckpt_interval_minutes", "ckpt_interval_steps")


def check_options(arguments, keys):
    """Refuse what SpeechBrain's parser would take for something else.

    It takes ``--precis bf16`` for ``--precision``, but the Brain then finds
    no option of that name and keeps its default; and a word without dashes
    goes into the value of the option before it.

    Arguments
    ---------
    arguments : list of str
        Of the recipe's command line, without its YAML.
    keys : iterable of str
        The YAML's, which options may change.

    Raises
    ------
    ValueError
        Naming the option and, if it is unknown, the nearest that exists.

    Example
    -------
    >>> check_options(["--precision", "bf16", "--units=8"], ["units"])
    >>> check_options(["--precis=bf16"], ["units"])
    Traceback (most recent call last):
    ...
    ValueError: --precis: no such option, did you mean --precision? Allowed \
are the YAML's keys and SpeechBrain's run options (--help lists them), in full
    >>> check_options(["--units", "8", "lr=1"], ["units"])
    Traceback (most recent call last):
    ...
    ValueError: --units: got 8 lr=1, expected one value; options begin with \
--, a value with spaces stands in quotes
    """
    own = run_options()
    # A key of both is SpeechBrain's option first.
    words = {f"--{key}": 1 for key in keys} | own
    for option, values in by_option(arguments):
        if option not in words:
            raise ValueError(_unknown(option, words))
        if words[option] is not None and len(values) != words[option]:
            raise ValueError(
                f"{option}: got {' '.join(values) or 'none'}, expected "
                f"{'one value' if words[option] else 'no value'}; options "
                "begin with --, a value with spaces stands in quotes"
            )


def run_options():
    """SpeechBrain's run options.

    Returns
    -------
    dict
        Option, with its dashes -> how many words are its value: 0, 1, or
        None for any number.

    Example
    -------
    >>> [run_options()[f"--{x}"] for x in ("jit", "device", "jit_module_keys")]
    [0, 1, None]
    """
    counts = {0: 0, None: 1, "*": None}
    return {
        option: counts[action.nargs]
        for action in RunOptions._create_parser()._actions
        for option in action.option_strings
    }


def settle_options(run_opts, keys):
    """SpeechBrain's run options, as it means them.

    Its parser leaves a number that has no default a string. An interval of
    checkpoints that is asked for takes the place of the YAML's other kind.

    Arguments
    ---------
    run_opts : speechbrain.utils.run_opts.RunOptions
    keys : iterable of str
        The YAML's.

    Returns
    -------
    speechbrain.utils.run_opts.RunOptions

    Raises
    ------
    ValueError
        For what is no number, and for two kinds of intervals.

    Example
    -------
    >>> given = {"optimizer_step_limit": "2", "ckpt_interval_steps": 8}
    >>> found = settle_options(
    ...     RunOptions.from_dictionary(given), ["ckpt_interval_minutes"]
    ... )
    >>> found.optimizer_step_limit, "ckpt_interval_minutes" in (
    ...     found.overridden_args
    ... )
    (2, True)
    """
    changed = {}
    limit = run_opts["optimizer_step_limit"]
    if limit is not None:
        if not re.fullmatch("0*[1-9][0-9]*", str(limit)):
            raise ValueError(
                f"--optimizer_step_limit: got {limit}, expected a positive "
                "integer"
            )
        changed["optimizer_step_limit"] = int(limit)
    asked = [
        name
        for name in _INTERVALS
        if name in run_opts.overridden_args and run_opts[name] > 0
    ]
    if len(asked) == 2:
        raise ValueError(
            f"--{asked[0]} and --{asked[1]}: got both, expected one of them; "
            "0 turns one off"
        )
    given = set(run_opts.overridden_args)
    for name in set(_INTERVALS) - set(asked):
        if asked and name in keys:
            changed[name] = 0
            given.add(name)
    return dataclasses.replace(run_opts, **changed, overridden_args=given)


def by_option(arguments):
    """Each option and the words that belong to it.

    Arguments
    ---------
    arguments : list of str

    Returns
    -------
    list of (str, list of str)

    Raises
    ------
    ValueError
        If a word stands before any option.

    Example
    -------
    >>> by_option(["--lr=0.1", "--jit", "--corpus", "x"])
    [('--lr', ['0.1']), ('--jit', []), ('--corpus', ['x'])]
    """
    found = []
    for word in arguments:
        name, equals, value = word.partition("=")
        if word.startswith("--"):
            found.append((name, [value] if equals else []))
        elif found:
            found[-1][1].append(word)
        else:
            raise ValueError(
                f"{word}: stands before any option; options begin with --"
            )
    return found


def _unknown(option, allowed):
    longer = [name for name in allowed if name.startswith(option)]
    (nearest,) = difflib.get_close_matches(
        option, sorted(longer or allowed), n=1, cutoff=0
    )
    return (
        f"{option}: no such option, did you mean {nearest}? Allowed are the "
        "YAML's keys and SpeechBrain's run options (--help lists them), in "
        "full"
    )
