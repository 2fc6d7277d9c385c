"""What AN4's recognisers reach, a line a layer: README's table."""

import pathlib
import shlex

import ruamel.yaml

from benchmarks import comparison
from benchmarks.recipe_targets import AN4, MIN_SEEDS, is_lm, systems
from benchmarks.rows import where
from benchmarks.tables import NOTHING, markdown

_HPARAMS = pathlib.Path(__file__).resolve().parent.parent / "hparams"
_HEADER = (
    "encoder|computed by|parameters|WER %, mean ± deviation (each seed)|with LM"
)


def _settled(rows):
    """The seeds of the settings trained last, or None.

    Settings with fewer than MIN_SEEDS seeds are tried only where there are no
    others.
    """
    found = systems(rows)
    enough = [group for group in found if len(group) >= MIN_SEEDS]
    return (enough or found or [None])[-1]


def _rate(system):
    """Mean and deviation over the seeds, and what each of them reached."""
    if system is None:
        return ""
    rates = system.sort_values("seed")["wer"]
    if len(rates) == 1:
        return f"{rates.iloc[0]:.2f} (one seed)"
    each = ", ".join(f"{rate:.2f}" for rate in rates)
    return f"{comparison.spread(rates.mean(), rates.std(ddof=1))} ({each})"


def table(data):
    """AN4's official test by layer, from the rows of the recipes.

    In order of their names: so few seeds rank nothing.
    """
    if data.recipes.empty:
        return NOTHING
    rows = where(comparison.repetitions(data.recipes), **AN4)
    lines, searches = [], []
    for (rnn, impl), same in rows.groupby(["rnn", "impl"]):
        without = _settled(where(same, lm="none"))
        if without is None:
            continue
        with_lm = _settled(where(same, lm=is_lm))
        if with_lm is not None:
            searches.append(_searches(without.iloc[0], with_lm.iloc[0]))
        line = [
            rnn,
            impl,
            f"{without['params'].iloc[0]:.0f}",
            _rate(without),
            _rate(with_lm),
        ]
        lines.append(line)
    if not lines:
        return NOTHING
    return _caption(searches) + markdown(_HEADER.split("|"), lines)


def _searches(without, with_lm):
    """What the two tests of a system were told of the search.

    The language model decides it too: its weight, and what suits it.
    """
    theirs, own = (
        dict(word.partition("=")[::2] for word in shlex.split(row["options"]))
        for row in (with_lm, without)
    )
    changed = [key for key, value in theirs.items() if own.get(key) != value]
    default = _defaults(without["recipe"])
    before = {key: own.get(key, default.get(key[2:])) for key in changed}
    # Without a language model it has no weight.
    before.pop("--lm_weight", None)
    after = {key: theirs[key] for key in changed}
    return _words(before), f"{with_lm['lm']} {_words(after)}".rstrip()


def _defaults(recipe):
    """What the recipe's YAML says where a command doesn't."""
    path = _HPARAMS / f"{recipe}.yaml"
    tree = ruamel.yaml.YAML().load(path.read_text("utf-8"))
    return dict(tree)


def _words(options):
    return " ".join(f"{key[2:]}={value}" for key, value in options.items())


def _caption(searches):
    """Says that the columns differ in more than the language model."""
    if not searches:
        return ""
    without, with_lm = (
        " or ".join(f"`{words}`" for words in dict.fromkeys(found) if words)
        for found in zip(*searches)
    )
    if not without:
        return f"With LM: {with_lm}.\n\n"
    return (
        f"The columns differ in the search as well: without LM {without}, "
        f"with LM {with_lm}.\n\n"
    )


TABLES = {"recognisers": table}
