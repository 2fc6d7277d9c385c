"""Reads result rows and picks those that tables and figures show."""

import pandas as pd

from speechbrain_ligru_fast.asr.results import read_rows

CASE = [
    "model",
    "op",
    "directions",
    "layers",
    "features",
    "hidden",
    "batch",
    "steps",
    "dtype",
    "mode",
]
# Many processors go by one name; rows older than the column lack the rest.
MACHINE = ["device", "cpu", "threads"]
LAYER_KEY = [*MACHINE, "impl", *CASE]
PARITY_KEY = ["device", "impl", "model", "op", "dtype"]
CONVERGENCE_KEY = ["device", "threads", "model", "impl", "dtype"]
SCALING_KEY = ["device", "threads", "recipe", "rnn", "impl", "precision"]

_NUMBERS = {
    "threads",
    "directions",
    "layers",
    "features",
    "hidden",
    "batch",
    "steps",
    "p20_ms",
    "p50_ms",
    "p80_ms",
    "peak_mb",
    "scan_gflops",
    "gemm_gflops",
    "gemm_ratio",
    "cases",
    "output_error",
    "gradient_error",
    "share_of_limit",
    "step",
    "stock_loss",
    "loss",
    "difference",
    "epochs",
    "params",
    "wer",
    "cer",
    "per",
    "epoch_s",
    "decode_rtf",
    "batch_audio_s",
    "step_s",
    "us_per_step",
    "value",
    "before_p50_ms",
    "after_p50_ms",
}


def load(path):
    """Reads a result file; without the file, no rows.

    Arguments
    ---------
    path : path-like
        A CSV that the tools append to.

    Returns
    -------
    pandas.DataFrame
        Oldest row first, where rows have dates; numbers as numbers, an empty
        cell of them as NaN.

    Raises
    ------
    ValueError
        If the file is no table, or a cell of a number none. It names the file
        and, where it can, the line.
    """
    try:
        columns, rows = read_rows(path)
    except FileNotFoundError:
        return pd.DataFrame()
    frame = pd.DataFrame(rows, columns=columns, dtype=str)
    for column in _NUMBERS.intersection(columns):
        frame[column] = _numbers(frame[column], path)
    if "device" in columns and "cpu" not in columns:
        frame["cpu"] = ""
    if "date" not in columns:
        return frame
    return frame.sort_values("date", kind="stable", ignore_index=True)


def _numbers(cells, path):
    numbers = pd.to_numeric(cells, errors="coerce")
    wrong = cells[numbers.isna() & ~cells.str.strip().isin(["", "nan"])]
    if len(wrong):
        # The header is the first line.
        raise ValueError(
            f"{path}, line {wrong.index[0] + 2}: {cells.name} must be a "
            f"number, got {wrong.iloc[0]!r}"
        )
    return numbers


def newest(frame, key):
    """The last row of each key.

    Example
    -------
    >>> frame = pd.DataFrame({"a": [1, 2, 1], "b": [3, 4, 5]})
    >>> newest(frame, ["a"])["b"].tolist()
    [4, 5]
    """
    return frame.drop_duplicates(key, keep="last") if len(frame) else frame


def where(frame, **cells):
    """Rows whose columns hold the given values, or pass the given tests.

    Example
    -------
    >>> frame = pd.DataFrame({"a": [1, 2, 3]})
    >>> where(frame, a=lambda value: value > 1)["a"].tolist()
    [2, 3]
    """
    for column, value in cells.items():
        if column not in frame:
            return frame.iloc[:0]
        cell = frame[column]
        kept = cell.map(value) if callable(value) else cell == value
        # Of no rows `map` gives objects, which would name columns.
        frame = frame[kept.astype(bool)]
    return frame


def ratio(ours, theirs, column):
    """Their figure over ours, both from the newest run that holds both.

    Arguments
    ---------
    ours, theirs : pandas.DataFrame
        Rows to divide by, and rows to divide.
    column : str
        The figure.

    Returns
    -------
    float | None
        None if no run holds both.
    """
    pair = newest_pair(ours, theirs, column)
    return None if pair is None else pair[column]


def newest_pair(ours, theirs, column):
    """What `ratio` gives, and the run that it is of.

    Arguments
    ---------
    ours, theirs, column
        See `ratio`.

    Returns
    -------
    dict | None
        The column -> the ratio, and ``run``.
    """
    if ours.empty or theirs.empty:
        return None
    pairs = ours.merge(theirs, on="run", suffixes=("_ours", "_theirs"))
    pairs = pairs.dropna(subset=[f"{column}_ours", f"{column}_theirs"])
    if pairs.empty:
        return None
    last = pairs.sort_values("date_ours", kind="stable").iloc[-1]
    figure = last[f"{column}_theirs"] / last[f"{column}_ours"]
    return {column: figure, "run": last["run"]}
