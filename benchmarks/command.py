"""How the tools here read their command lines."""

import argparse


def parser(tool, text):
    """A parser whose help is a module's docstring, as it stands.

    Example
    -------
    >>> parser("benchmarks.layers", "How fast?").prog
    'python -m benchmarks.layers'
    """
    return argparse.ArgumentParser(
        prog=f"python -m {tool}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
