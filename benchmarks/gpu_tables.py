"""Markdown tables of the GPU suite's rows."""

from benchmarks import captions
from benchmarks.gpu import table
from benchmarks.rows import CASE, newest
from benchmarks.tables import NOTHING, markdown, number

_MACHINE = ["device", "driver", "torch"]
_KEY = [*_MACHINE, "impl", "with_hx", *CASE]


def layers(data):
    """Each GPU's newest rows: times a step, and ratios of train steps."""
    parts = []
    for machine, rows, all_rows in _machines(data.gpu, _KEY):
        cells = table.cells(
            rows.to_dict("records"), all_rows.to_dict("records")
        )
        parts.append(f"{machine}\n\n{markdown(table.HEADER, cells)}")
    return "\n\n".join(parts) or NOTHING


def micro(data):
    """Each GPU's microbenchmarks."""
    parts = []
    for machine, rows, _ in _machines(data.micro, [*_MACHINE, "name"]):
        cells = [
            [row["name"], number(row["value"]), row["unit"]]
            for _, row in rows.iterrows()
        ]
        parts.append(f"{machine}\n\n{markdown(['what', '', ''], cells)}")
    return "\n\n".join(parts) or NOTHING


def _machines(frame, key):
    """Each machine's caption, its newest rows, and all of them."""
    if frame.empty:
        return
    for (device, driver, torch), rows in frame.groupby(_MACHINE):
        shown = newest(rows, key)
        yield (
            f"{device}, driver {driver}, torch {torch}; rows of these runs:\n\n"
            f"{captions.of_runs(shown)}",
            shown,
            rows,
        )


TABLES = {"gpu": layers, "gpu-micro": micro}
