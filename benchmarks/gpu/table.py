"""A short table of what was measured: each row against its rivals."""

from benchmarks.cases import LIGRU_MODELS
from speechbrain_ligru_fast.asr.results import read_rows

# Ways to run a LiGRU that are not SpeechBrain's nor this package's.
RIVALS = (
    "cublas-graph",
    "cudnn-graph",
    "triton-steps",
    "triton-launches",
    "speechbrain-graph",
    "speechbrain-compile",
)
_SHAPE = ("hidden", "batch", "directions", "steps")
_TIMES = ("p50_ms", "us_per_step")


def read(path, runs):
    """The rows of some processes, with numbers where tables need them.

    Arguments
    ---------
    path : pathlib.Path
        A gpu.csv, which need not be there.
    runs : list of str
        The processes' names.

    Returns
    -------
    list of dict
    """
    rows = read_rows(path)[1] if path.exists() else []
    rows = [row for row in rows if row["run"] in runs]
    for row in rows:
        row.update((name, int(row[name])) for name in _SHAPE)
        row.update((name, float(row[name])) for name in _TIMES)
    return rows


def _best(rows, **cells):
    """The fastest of the rows with these cells, or None."""
    fitting = [
        row
        for row in rows
        if all(row[column] in value for column, value in cells.items())
    ]
    return min(fitting, key=lambda row: row["p50_ms"], default=None)


def rivals(rows):
    """Lines of text: per shape, all ways to run it by time per step.

    Arguments
    ---------
    rows : list of dict
        What ``measure`` and ``rivals`` yielded.

    Returns
    -------
    list of str

    Example
    -------
    >>> rivals([])[0].split()[:3]
    ['what', 'H', 'B']
    """
    found = [
        f"{'what':6}{'H':>5}{'B':>4}{'D':>2}{'T':>5} {'type':5}"
        f"{'mode':9}{'us/step':>9} impl"
    ]
    key = ("op", *_SHAPE, "dtype", "mode")
    shapes = {
        tuple(row[name] for name in key)
        for row in rows
        if row["model"] == "LiGRU" and row["impl"] in RIVALS
    }
    order = sorted(rows, key=lambda row: row["us_per_step"])
    for shape in sorted(shapes):
        op, hidden, batch, directions, steps, dtype, mode = shape
        found += [
            f"{op:6}{hidden:5}{batch:4}{directions:2}{steps:5} {dtype:5}"
            f"{mode:9}{row['us_per_step']:9.2f} {row['impl']}"
            for row in order
            if row["model"] == "LiGRU"
            and tuple(row[name] for name in key) == shape
        ]
    return found


HEADER = (
    "layer|H|B|D|T|type|impl|fwd us|bwd us|grads us|train ms|MiB|LSTM|eager|jit"
).split("|")


def cells(rows, others=None):
    """Per shape and backend: times a step, a train step, and its ratios.

    Arguments
    ---------
    rows : list of dict
        What ``measure`` yielded, of one device; of a case that was measured
        again the newest.
    others : list of dict | None
        Where an LSTM of the same process is looked for; None for the rows.

    Returns
    -------
    list of list of str
        In HEADER's order. ``LSTM``, ``eager`` and ``jit`` are how many times
        faster the train step is than cuDNN's LSTM in its best type (exact
        float32 against the same) and than SpeechBrain's layer. Rivals that
        the same process has timed come first, others only where it has none.
    """
    others = rows if others is None else others
    found = []
    for row in rows:
        ours = row["model"] in LIGRU_MODELS and "speechbrain" not in row["impl"]
        if not ours or row["op"] != "layer" or row["mode"] != "train":
            continue
        shape = {name: (row[name],) for name in _SHAPE}
        same = dict(shape, model=(row["model"],), dtype=(row["dtype"],))
        scan = dict(same, impl=(row["impl"],), op=("scan",))
        layer = dict(op=("layer",), mode=("train",))

        def ratio(row=row, **rival):
            beside = _best(others, **rival, run=(row["run"],))
            best = beside or _best(rows, **rival)
            return f"{best['p50_ms'] / row['p50_ms']:.2f}" if best else ""

        def step(mode, scan=scan):
            measured = _best(rows, **scan, mode=(mode,))
            return f"{measured['us_per_step']:.2f}" if measured else ""

        exact = {"dtype": ("fp32",)} if row["dtype"] == "fp32" else {}
        found.append(
            [
                *(str(row[key]) for key in ("model", *_SHAPE, "dtype", "impl")),
                *map(step, ("infer", "backward", "gradients")),
                *(f"{row['p50_ms']:.3f}", str(row["peak_mb"])),
                ratio(**shape, **layer, **exact, model=("LSTM",)),
                ratio(**same, **layer, impl=("speechbrain",)),
                ratio(**same, **layer, impl=("speechbrain-jit",)),
            ]
        )
    return found


def lines(rows):
    """``cells`` for a terminal.

    Example
    -------
    >>> lines([])[0].split()[:3]
    ['layer', 'H', 'B']
    """
    table = [HEADER, *cells(rows)]
    widths = [max(map(len, column)) for column in zip(*table)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths))
        for line in table
    ]
