"""What AN4's recognisers reach, a line a layer: README's table."""

from benchmarks import comparison
from benchmarks.recipe_targets import AN4, MIN_SEEDS, is_lm, systems
from benchmarks.rows import where
from benchmarks.tables import NOTHING, markdown

_HEADER = "encoder|computed by|parameters|seeds|WER %|WER % with LM"


def _settled(rows):
    """The seeds of the settings trained last, or None.

    Settings with fewer than MIN_SEEDS seeds are tried only where there are no
    others.
    """
    found = systems(rows)
    enough = [group for group in found if len(group) >= MIN_SEEDS]
    return (enough or found or [None])[-1]


def _rate(system):
    if system is None:
        return ""
    rates = system["wer"]
    return comparison.spread(rates.mean(), rates.std(ddof=1))


def table(data):
    """AN4's official test, best layer first, from the rows of the recipes."""
    if data.recipes.empty:
        return NOTHING
    rows = where(comparison.repetitions(data.recipes), **AN4)
    lines = []
    for (rnn, impl), same in rows.groupby(["rnn", "impl"]):
        without = _settled(where(same, lm="none"))
        if without is None:
            continue
        line = [
            rnn,
            impl,
            f"{without['params'].iloc[0]:.0f}",
            len(without),
            _rate(without),
            _rate(_settled(where(same, lm=is_lm))),
        ]
        lines.append((without["wer"].mean(), line))
    if not lines:
        return NOTHING
    ordered = [line for _, line in sorted(lines, key=lambda pair: pair[0])]
    return markdown(_HEADER.split("|"), ordered)


TABLES = {"recognisers": table}
