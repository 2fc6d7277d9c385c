"""Markdown tables of the pull requests' texts."""

from benchmarks import captions
from benchmarks.rows import MACHINE, newest
from benchmarks.tables import NOTHING, markdown, number

_CASE = ["model", "directions", "hidden", "batch", "steps"]


def linear_backward(data):
    """Milliseconds of a training step before and after the change."""
    if data.upstream.empty:
        return NOTHING
    parts = []
    rows = newest(data.upstream, [*MACHINE, *_CASE])
    for machine, shown in rows.groupby(MACHINE, sort=True):
        lines = [
            [
                row["model"],
                row["hidden"],
                row["batch"],
                row["steps"],
                number(row["before_p50_ms"]),
                number(row["after_p50_ms"]),
                f"{row['before_p50_ms'] / row['after_p50_ms']:.2f}x",
            ]
            for _, row in shown.sort_values(_CASE).iterrows()
        ]
        header = "layer, bidirectional|H|B|T|before, ms|after, ms|faster"
        parts.append(
            f"{captions.of_machine(*machine, shown)}\n\n"
            f"{markdown(header.split('|'), lines)}"
        )
    return "\n\n".join(parts)


TABLES = {"linear-backward": linear_backward}
