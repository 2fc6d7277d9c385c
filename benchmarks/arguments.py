"""Refuses what a tool's command line may not hold."""


def refuse_below(parser, args, **least):
    """Stops the tool if a number is too small.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Tells what came and what is allowed, and exits.
    args : argparse.Namespace
        What it read.
    **least : float
        Name of an argument, a number or a list of them -> the smallest that
        is allowed.

    Example
    -------
    >>> import argparse
    >>> parser = argparse.ArgumentParser()
    >>> _ = parser.add_argument("--steps", type=int, nargs="+")
    >>> refuse_below(parser, parser.parse_args(["--steps", "1", "2"]), steps=1)
    """
    for name, bound in least.items():
        value = getattr(args, name)
        smallest = min(value) if isinstance(value, list) else value
        if smallest < bound:
            parser.error(
                f"--{name.replace('_', '-')}: got {smallest}, "
                f"allowed are {bound} and more"
            )
