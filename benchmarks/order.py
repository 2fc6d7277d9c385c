"""What ``auto`` takes on a GPU, from benchmark rows: backends/gpu_order.csv.

Usage::

    python -m benchmarks.order [benchmarks/results/gpu.csv]

Per GPU, model and precision, each backend's training time relative to the
fastest, as the geometric mean over the cases that all of them ran. GPUs that
the rows don't tell of keep what the table says.
"""

import argparse
import pathlib

import numpy as np
import pandas as pd

from speechbrain_ligru_fast.backends.auto import COLUMNS, TABLE
from speechbrain_ligru_fast.backends.spec import BACKENDS

RESULTS = pathlib.Path(__file__).parent / "results" / "gpu.csv"
GROUP = ["device", "model", "dtype"]
CASE = ["directions", "features", "hidden", "batch", "steps"]


def order(rows):
    """The table of some rows of gpu.csv, of which the last of a case counts."""
    rows = rows.assign(driver=rows["driver"].replace("", np.nan))
    known = rows["impl"].isin(BACKENDS[1:]) & rows["driver"].notna()
    # A single step is mostly the call: it says nothing about a sequence.
    known &= (rows["steps"] > 1) & (rows["mode"] == "train")
    rows = rows[known].drop_duplicates([*GROUP, *CASE, "impl"], keep="last")
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


def update(rows, table=TABLE):
    """Puts the order of some rows into the table; returns what was done."""
    new, old = order(rows), pd.read_csv(table)
    kept = old[~old["device"].isin(new["device"])]
    pd.concat([part for part in (kept, new) if len(part)] or [old]).to_csv(
        table, index=False
    )
    return f"{len(new)} new rows in {table}, {len(kept)} kept"


def main():
    """Reads the rows and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="?", default=RESULTS, type=pathlib.Path)
    parser.add_argument("--table", default=TABLE, type=pathlib.Path)
    arguments = parser.parse_args()
    print(update(pd.read_csv(arguments.rows), arguments.table))


if __name__ == "__main__":
    main()
