"""Says above a table which runs its rows come from."""

_RUN = ["date", "commit", "command"]


def of_runs(rows):
    """A line a run.

    Arguments
    ---------
    rows : pandas.DataFrame
        All that a table shows.

    Returns
    -------
    str

    Example
    -------
    >>> import pandas as pd
    >>> cells = {"date": "d", "commit": "c1", "command": "python x", "ms": [3]}
    >>> print(of_runs(pd.DataFrame(cells)))
    - c1, d: `python x`
    """
    runs = rows[_RUN].drop_duplicates().sort_values("date", kind="stable")
    return "\n".join(
        f"- {run['commit']}, {run['date']}: `{run['command']}`"
        for _, run in runs.iterrows()
    )


def name_cpu(device, cpu):
    """A processor's name, and which of those it is.

    Arguments
    ---------
    device, cpu : str
        Cells of a row; the second is empty in old ones.

    Returns
    -------
    str

    Example
    -------
    >>> name_cpu("Xeon", "family 6 model 207, AVX2"), name_cpu("Xeon", "")
    ('Xeon (family 6 model 207, AVX2)', 'Xeon (which one was not recorded)')
    """
    return f"{device} ({cpu or 'which one was not recorded'})"


def of_machine(device, cpu, threads, rows):
    """Where and with what rows were measured, and their runs.

    Arguments
    ---------
    device, cpu : str
    threads : int
    rows : pandas.DataFrame
        All that a table shows.

    Returns
    -------
    str
    """
    torch = ", ".join(sorted(set(rows["torch"])))
    return (
        f"{name_cpu(device, cpu)}, {threads} threads, torch {torch}; rows of "
        "these runs:\n\n"
        f"{of_runs(rows)}"
    )
