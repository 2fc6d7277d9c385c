"""Writes tables and figures from the committed result files.

    python -m benchmarks.report           fill the tables, draw the figures
    python -m benchmarks.report --check   only compare; exit status 1 if a
                                          committed table differs

In any Markdown file of the repository, what stands between the markers
`<!-- table:NAME -->` and `<!-- /table -->` is replaced by that table.
"""

import argparse
import difflib
import pathlib
import re
import sys
from dataclasses import dataclass

import pandas as pd

from benchmarks import (
    equivalence,
    figures,
    recipe_tables,
    recipe_targets,
    recognisers,
    tables,
    upstream_tables,
)
from benchmarks.rows import load

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLES = {
    **tables.TABLES,
    **recipe_tables.TABLES,
    **recipe_targets.TABLES,
    **recognisers.TABLES,
    **equivalence.TABLES,
    **upstream_tables.TABLES,
}

_DOCUMENTS = ("*.md", "docs/*.md", "recipes/*/README.md", "upstream/*/*.md")
_TABLE = re.compile(
    r"^<!-- table:(?P<name>\S+) -->\n(?P<body>.*?)^<!-- /table -->$",
    re.MULTILINE | re.DOTALL,
)
_MARKER = re.compile(r"^<!-- (table:\S+|/table) -->$", re.MULTILINE)


@dataclass(frozen=True)
class Data:
    """Rows of the result files.

    Arguments
    ---------
    layers, parity, convergence : pandas.DataFrame
        Of single layers, oldest row first.
    recompute : pandas.DataFrame
        Of layers and stacks that keep their gates or compute them again.
    recipes, scaling, kills, streaming : pandas.DataFrame
        Of trained systems, oldest row first.
    gpu, micro : pandas.DataFrame
        Of the GPU suite, oldest row first.
    upstream : pandas.DataFrame
        Of SpeechBrain's layers before and after a proposed change.
    """

    layers: pd.DataFrame
    parity: pd.DataFrame
    convergence: pd.DataFrame
    recompute: pd.DataFrame
    recipes: pd.DataFrame
    scaling: pd.DataFrame
    kills: pd.DataFrame
    streaming: pd.DataFrame
    gpu: pd.DataFrame
    micro: pd.DataFrame
    upstream: pd.DataFrame


def read(root):
    """Reads the result files below a repository's root."""
    folder = root / "benchmarks" / "results"
    return Data(
        *(load(folder / f"{name}.csv") for name in Data.__annotations__)
    )


def documents(root):
    """Markdown files that may hold tables."""
    return sorted(path for pattern in _DOCUMENTS for path in root.glob(pattern))


def fill(text, data, path):
    """Replaces the tables of a document.

    Arguments
    ---------
    text : str
        The document.
    data : Data
        The result rows.
    path : path-like
        Its name, for errors.

    Returns
    -------
    str
        The document with today's tables.

    Raises
    ------
    ValueError
        For an unknown table or markers that don't pair up.
    """

    def table(match):
        name = match["name"]
        if name not in TABLES:
            raise ValueError(
                f"{path}: no table {name!r}; allowed: {', '.join(TABLES)}"
            )
        return f"<!-- table:{name} -->\n{TABLES[name](data)}\n<!-- /table -->"

    if len(_MARKER.findall(text)) != 2 * len(_TABLE.findall(text)):
        raise ValueError(
            f"{path}: every <!-- table:NAME --> needs its <!-- /table -->"
        )
    return _TABLE.sub(table, text)


def main(argv=None):
    """Runs the tool; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT)
    args = parser.parse_args(argv)
    data = read(args.root)
    stale = 0
    for path in documents(args.root):
        old = path.read_text(encoding="utf-8")
        new = fill(old, data, path)
        if new == old:
            continue
        if args.check:
            stale += 1
            name = str(path.relative_to(args.root))
            sys.stdout.writelines(
                difflib.unified_diff(
                    old.splitlines(keepends=True),
                    new.splitlines(keepends=True),
                    f"{name} (committed)",
                    f"{name} (from the result files)",
                )
            )
        else:
            path.write_text(new, encoding="utf-8")
            print(f"wrote {path}")
    if not args.check:
        logs = args.root / "benchmarks" / "results" / "trainings"
        for path in figures.draw(data, args.root / "docs" / "figures", logs):
            print(f"wrote {path}")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
