"""Markdown tables made from result rows."""

from itertools import product

import pandas as pd

from benchmarks import captions
from benchmarks.cases import (
    LIGRU_MODELS,
    TORCH_MODELS,
    Case,
    lstm_of_equal_size,
)
from benchmarks.impls import (
    RECOMPUTE,
    STOCK,
    STOCK_JIT,
    STOCK_LINEAR,
    TORCH,
)
from benchmarks.rows import (
    CASE,
    CONVERGENCE_KEY,
    LAYER_KEY,
    MACHINE,
    PARITY_KEY,
    newest,
    newest_pair,
    where,
)
from benchmarks.targets import TARGETS, THREADS

NOTHING = "No rows yet."

_MODELS = {name: i for i, name in enumerate(LIGRU_MODELS + TORCH_MODELS)}
_ORDER = ["op", "model", "dtype", "hidden", "steps", "batch", "mode", "impl"]


def markdown(header, rows):
    """A markdown table.

    Example
    -------
    >>> print(markdown(["a", "b"], [[1, "x"]]))
    | a | b |
    | --- | --- |
    | 1 | x |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def number(value, digits=3):
    """Significant digits, or an empty cell.

    Example
    -------
    >>> number(123.456), number(0.01234), number(float("nan"))
    ('123', '0.0123', '')
    """
    if value is None or pd.isna(value):
        return ""
    text = f"{value:.{digits}g}"
    if "e" in text and 1e-3 < abs(value) < 1e9:
        return f"{value:.0f}"
    return text


def _times(value):
    return "" if value is None or pd.isna(value) else f"{value:.2f}x"


def _sorted(frame):
    """Layers before scans, our models before torch's."""

    def key(column):
        return column.map(_MODELS) if column.name == "model" else column

    return frame.sort_values(_ORDER, key=key)


def _per_machine(frame, make, **only):
    """Each machine's table, under a caption that says where it is from.

    ``make`` gives of a machine's rows the table and all rows shown in it.
    """
    if frame.empty:
        return NOTHING
    parts = []
    for machine, rows in where(frame, **only).groupby(MACHINE, sort=True):
        table, shown = make(rows)
        if shown.empty:
            continue
        caption = captions.of_machine(*machine, shown)
        parts.append(f"{caption}\n\n{table}")
    return "\n\n".join(parts) or NOTHING


def _of(rows, runs):
    return where(rows, run=lambda run: run in runs)


def _equal_units(row):
    """Units of the LSTM with as many parameters as the layer of a row."""
    sizes = ("hidden", "features", "batch", "steps", "directions")
    case = Case(row["model"], **{size: int(row[size]) for size in sizes})
    return lstm_of_equal_size(case).hidden


def layers(data):
    """Milliseconds of the layer that `auto` picks, and what it wins."""

    def make(rows):
        lines, runs = [], set()
        ours = where(rows, op="layer", auto="yes")
        for _, last in _sorted(newest(ours, [*MACHINE, *CASE])).iterrows():
            if last["mode"] == "forward":
                continue
            same = {key: last[key] for key in CASE}
            mine = where(ours, **same)

            runs.add(last["run"])

            def against(model, impl, same=same, mine=mine, **other):
                cells = {**same, "model": model, "impl": impl, **other}
                pair = newest_pair(mine, where(rows, **cells), "p50_ms")
                if pair is None:
                    return ""
                runs.add(pair["run"])
                return _times(pair["p50_ms"])

            lines.append(
                [
                    last["model"],
                    last["hidden"],
                    last["steps"],
                    last["dtype"],
                    last["mode"],
                    last["impl"],
                    number(last["p50_ms"]),
                    against(last["model"], STOCK),
                    against(last["model"], STOCK_JIT),
                    against(last["model"], STOCK_LINEAR),
                    against("LSTM", TORCH),
                    against("LSTM", TORCH, hidden=_equal_units(last)),
                    against("GRU", TORCH),
                ]
            )
        header = (
            "layer|H|T|type|mode|backend|ms|SpeechBrain|SpeechBrain jit|"
            "SpeechBrain, linear backward|LSTM|LSTM, as many parameters|GRU"
        )
        return markdown(header.split("|"), lines), _of(rows, runs)

    return _per_machine(data.layers, make)


# Mode, hidden units and frames of the few lines that a reader sees first.
_HEADLINE = (
    ("train", 256, 100),
    ("train", 512, 100),
    ("train", 512, 400),
    ("train", 1024, 100),
    ("infer", 512, 100),
)
_MODES = {"train": "train step", "infer": "inference"}


def headline(data):
    """The few lines that say it all, of the machine measured last."""
    rows = where(
        data.layers,
        op="layer",
        dtype="fp32",
        threads=THREADS,
        batch=8,
        directions=2,
        layers=1,
    )
    if rows.empty:
        return NOTHING
    machine = {key: rows[key].iloc[-1] for key in MACHINE}
    rows = where(rows, **machine)
    lines, runs = [], set()
    for model, (mode, hidden, steps) in product(LIGRU_MODELS, _HEADLINE):
        same = where(rows, mode=mode, features=hidden, steps=steps)
        # A run of ours alone has nothing to be compared with.
        whole = set(where(same, model=model, impl=STOCK)["run"])
        ours = where(
            same, model=model, auto="yes", run=lambda run, w=whole: run in w
        )
        if ours.empty:
            continue
        last = ours.iloc[-1]
        runs.add(last["run"])
        same = where(same, run=last["run"])
        others = (
            where(same, model=model, impl=STOCK, hidden=hidden),
            where(same, model=model, impl=STOCK_LINEAR, hidden=hidden),
            where(same, model="LSTM", impl=TORCH, hidden=hidden),
            where(same, model="LSTM", impl=TORCH, hidden=_equal_units(last)),
        )
        lines.append(
            [
                f"{_MODES[mode]}, {model}, H={hidden}, T={steps}",
                number(last["p50_ms"]),
                *(
                    _times(other["p50_ms"].max() / last["p50_ms"])
                    for other in others
                ),
            ]
        )
    name = captions.name_cpu(machine["device"], machine["cpu"])
    caption = (
        "Milliseconds of this package's layer, bidirectional, 8 utterances, "
        "float32, and how many times as long the others take; "
        f"{name}, {THREADS} threads; rows of these runs:\n\n"
        f"{captions.of_runs(_of(rows, runs))}"
    )
    header = (
        "|this package, ms|SpeechBrain's layer|SpeechBrain's, its backward "
        "made linear|LSTM of as many units|LSTM of as many parameters"
    )
    return f"{caption}\n\n{markdown(header.split('|'), lines)}"


def all_layers(data):
    """Every newest row of a layer."""

    def make(rows):
        rows = _sorted(newest(where(rows, op="layer"), LAYER_KEY))
        table = markdown(
            "layer|impl|H|F|B|T|type|mode|p20 ms|p50 ms|p80 ms|peak MiB".split(
                "|"
            ),
            [
                [
                    row["model"],
                    row["impl"],
                    row["hidden"],
                    row["features"],
                    row["batch"],
                    row["steps"],
                    row["dtype"],
                    row["mode"],
                    *(number(row[f"p{q}_ms"]) for q in (20, 50, 80)),
                    number(row["peak_mb"]),
                ]
                for _, row in rows.iterrows()
            ],
        )
        return table, rows

    return _per_machine(data.layers, make)


def scan(data):
    """The recurrence alone: rate, and share of the large GEMM's rate."""

    def make(rows):
        rows = _sorted(newest(where(rows, op="scan"), LAYER_KEY))
        table = markdown(
            "impl|H|rows|mode|ms|GFLOP/s|GEMM GFLOP/s|share".split("|"),
            [
                [
                    row["impl"],
                    row["hidden"],
                    row["batch"] * row["directions"],
                    row["mode"],
                    number(row["p50_ms"]),
                    number(row["scan_gflops"]),
                    number(row["gemm_gflops"]),
                    f"{row['gemm_ratio']:.0%}",
                ]
                for _, row in rows.iterrows()
            ],
        )
        return table, rows

    return _per_machine(data.layers, make, op="scan")


def recompute(data):
    """Train steps that keep the gates against those that compute them again.

    Of each pair the newest run that holds both.
    """

    def make(rows):
        rows = where(rows, op="layer", mode="train")
        again = where(rows, impl=lambda impl: impl.endswith(RECOMPUTE))
        lines, runs = [], set()
        for _, last in _sorted(newest(again, LAYER_KEY)).iterrows():
            same = {key: last[key] for key in CASE}
            name = last["impl"].removesuffix(RECOMPUTE)
            kept = where(rows, **same, impl=name, run=last["run"])
            if kept.empty:
                continue
            kept = kept.iloc[-1]
            runs.add(last["run"])
            lines.append(
                [
                    last["model"],
                    name,
                    last["hidden"],
                    last["batch"],
                    last["steps"],
                    last["directions"],
                    last["layers"],
                    last["dtype"],
                    *(number(row["p50_ms"]) for row in (kept, last)),
                    _times(last["p50_ms"] / kept["p50_ms"]),
                    *(number(row["peak_mb"]) for row in (kept, last)),
                    _times(last["peak_mb"] / kept["peak_mb"]),
                ]
            )
        header = (
            "layer|backend|H|B|T|directions|layers|type|kept ms|again ms|"
            "ratio|kept MiB|again MiB|ratio"
        )
        return markdown(header.split("|"), lines), _of(rows, runs)

    return _per_machine(data.recompute, make)


def parity(data):
    """The worst error per implementation and type, of the newest run."""
    rows = newest(where(data.parity, scope="all"), PARITY_KEY)
    if rows.empty:
        return NOTHING
    return markdown(
        "impl|model|what|type|cases|output error|gradient error|share of "
        "limit|commit".split("|"),
        [
            [
                row["impl"],
                row["model"],
                row["op"],
                row["dtype"],
                row["cases"],
                number(row["output_error"], 2),
                number(row["gradient_error"], 2),
                number(row["share_of_limit"], 2),
                row["commit"],
            ]
            for _, row in rows.sort_values(PARITY_KEY).iterrows()
        ],
    )


def convergence(data):
    """How far two trainings from one seed part, newest run of each kind."""
    if data.convergence.empty:
        return NOTHING
    lines = []
    for _, rows in data.convergence.groupby(CONVERGENCE_KEY, sort=True):
        rows = rows[rows["run"] == rows["run"].iloc[-1]]
        last = rows.iloc[-1]
        lines.append(
            [
                last["model"],
                last["impl"],
                last["dtype"],
                last["steps"],
                f"{rows['difference'].max():.1e}",
                number(rows["stock_loss"].iloc[0], 4),
                number(last["stock_loss"], 4),
                number(last["loss"], 4),
                last["device"],
                last["commit"],
                f"`{last['command']}`",
            ]
        )
    header = (
        "layer|against SpeechBrain's|type|steps|largest difference|first "
        "loss|its last loss|last loss|device|commit|command"
    )
    return markdown(header.split("|"), lines)


def targets(data):
    """What had to be reached, what was measured, and whether it was."""

    def make(rows):
        device = rows["device"].iloc[0]
        sources = {
            "layers": rows,
            "parity": where(data.parity, device=device, threads=THREADS),
            # Losses are no times: they hold with any number of threads.
            "convergence": where(data.convergence, device=device),
        }
        lines, runs = [], set()
        for target in TARGETS:
            figure, run = target.find(sources[target.source])
            runs.add(run)
            missing = figure is None or pd.isna(figure)
            sign = "at most" if target.at_most else "at least"
            met = "" if missing else "yes" if target.met(figure) else "NO"
            lines.append(
                [
                    target.text,
                    f"{sign} {target.bound:g}",
                    "not measured" if missing else number(figure),
                    met,
                ]
            )
        shown = pd.concat([_of(found, runs) for found in sources.values()])
        return markdown(["what", "target", "measured", "met"], lines), shown

    return _per_machine(data.layers, make, threads=THREADS)


TABLES = {
    "headline": headline,
    "layers": layers,
    "layers-all": all_layers,
    "scan": scan,
    "recompute": recompute,
    "parity": parity,
    "convergence": convergence,
    "targets": targets,
}
