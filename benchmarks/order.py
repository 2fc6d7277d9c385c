"""Writes the table that ``auto`` reads on a GPU, from benchmark rows.

Usage::

    python -m benchmarks.order [benchmarks/results/gpu.csv]

Per GPU, model and precision, each backend's training time relative to the
fastest, as the geometric mean over the cases that all of them ran.
"""

import argparse
import pathlib

import numpy as np
import pandas as pd

from speechbrain_ligru_fast.backends.auto import COLUMNS, TABLE
from speechbrain_ligru_fast.backends.spec import BACKENDS

RESULTS = pathlib.Path(__file__).parent / "results" / "gpu.csv"
GROUP = ["device", "model", "dtype"]
CASE = [
    "op", "directions", "layers", "features", "hidden", "batch", "steps",
]  # fmt: skip


def order(rows):
    """Measured order from result rows.

    Arguments
    ---------
    rows : pandas.DataFrame
        Rows of gpu.csv, oldest first; of two runs of a case the last
        counts.

    Returns
    -------
    pandas.DataFrame
        With the columns of the table.
    """
    known = rows["impl"].isin(BACKENDS[1:]) & rows["driver"].notna()
    # A single step is mostly the call: it says nothing about a sequence.
    known &= rows["steps"] > 1
    rows = rows[known & (rows["mode"] == "train")]
    rows = rows.drop_duplicates([*GROUP, *CASE, "impl"], keep="last")
    found = []
    for group, members in rows.groupby(GROUP):
        times = members.pivot(index=CASE, columns="impl", values="p50_ms")
        times = times.dropna()
        if times.empty:
            continue
        mean = np.exp(np.log(times).mean())
        for backend, relative in (mean / mean.min()).sort_values().items():
            found.append((*group, backend, round(relative, 3)))
    return pd.DataFrame(found, columns=COLUMNS)


def main():
    """Reads the rows and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="?", default=RESULTS, type=pathlib.Path)
    parser.add_argument("--table", default=TABLE, type=pathlib.Path)
    arguments = parser.parse_args()
    table = order(pd.read_csv(arguments.rows))
    table.to_csv(arguments.table, index=False)
    print(f"{len(table)} rows in {arguments.table}")


if __name__ == "__main__":
    main()
