"""Whether another implementation of a layer reaches the same error rate."""

import numpy as np
from scipy import stats

from benchmarks.commands import other_options, shown_options
from benchmarks.comparison import GROUP, RATES, repetitions
from benchmarks.impls import STOCK, STOCK_JIT
from benchmarks.rows import newest
from benchmarks.tables import NOTHING, markdown

SIGNIFICANCE = 0.05
# The least p of the exact test is then 2 / 70; of 3 and 4 seeds it is above
# SIGNIFICANCE whatever they are.
MIN_SEEDS = 4
# Rows that differ in nothing here were trained by the same recipe: by the
# options of its command, for the settings' name holds the layer's class too.
_SAME = [key for key in GROUP if key not in ("impl", "settings")] + ["others"]


def compare(ours, stock):
    """Tests that two samples of error rates have the same mean.

    Arguments
    ---------
    ours, stock : array-like of float
        An error rate a seed, two at least.

    Returns
    -------
    dict
        ``difference`` of the means, its 95 % confidence interval ``low`` to
        ``high`` (Welch's, which does not assume equal variances) and ``p``
        of the exact two-sided permutation test on the difference.

    Example
    -------
    >>> found = compare([9.0, 10.0, 11.0], [9.5, 10.5, 10.0])
    >>> found["difference"], found["low"] < 0 < found["high"], found["p"]
    (0.0, True, 1.0)
    """
    ours, stock = np.asarray(ours, float), np.asarray(stock, float)
    interval = stats.ttest_ind(ours, stock, equal_var=False)
    low, high = interval.confidence_interval(0.95)
    permuted = stats.permutation_test(
        (ours, stock),
        lambda a, b, axis: a.mean(axis) - b.mean(axis),
        vectorized=True,
        n_resamples=np.inf,
        batch=100_000,
    )
    return {
        "difference": float(ours.mean() - stock.mean()),
        "low": float(low),
        "high": float(high),
        "p": float(permuted.pvalue),
    }


def pairs(rows):
    """Every system that both we and SpeechBrain's layer were trained in.

    Arguments
    ---------
    rows : pandas.DataFrame
        Of recipes.csv.

    Returns
    -------
    list of tuple
        The rows' shared cells as a dict, the rate's name, the rates of our
        seeds and of SpeechBrain's, MIN_SEEDS at least.
    """
    if rows.empty:
        return []
    rows = repetitions(rows)
    rows = rows.assign(
        others=rows["command"].map(other_options),
        stock=rows["impl"].isin([STOCK, STOCK_JIT]),
    )
    # A seed counts once: the newest, whatever backend it ran on.
    rows = newest(rows, [*_SAME, "stock", "seed"])
    found = []
    for key, group in rows.groupby(_SAME, dropna=False):
        shared = dict(zip(_SAME, key))
        for rate in RATES:
            samples = [
                group.loc[group["stock"] == stock, rate].dropna().to_list()
                for stock in (False, True)
            ]
            if min(map(len, samples)) >= MIN_SEEDS:
                found.append((shared, rate, *samples))
    return found


def table(data):
    """Error rates of both implementations, and whether seeds explain it."""
    lines = []
    for shared, rate, ours, stock in pairs(data.recipes):
        found = compare(ours, stock)
        lines.append(
            [
                *(shared[key] for key in ("corpus", "split", "recipe", "rnn")),
                f"{shared['epochs']:.0f}",
                shown_options(shared["others"]),
                rate.upper(),
                *(
                    f"{np.mean(x):.2f} ± {np.std(x, ddof=1):.2f} ({len(x)})"
                    for x in (ours, stock)
                ),
                f"{found['difference']:+.2f}",
                f"{found['low']:+.2f} to {found['high']:+.2f}",
                f"{found['p']:.2f}",
                "yes" if found["p"] >= SIGNIFICANCE else "NO",
            ]
        )
    if not lines:
        return NOTHING
    header = (
        "corpus|split|recipe|layer|epochs|options|rate|ours % (seeds)|"
        "SpeechBrain's % (seeds)|difference|95 % interval|p|within seed noise"
    )
    return markdown(header.split("|"), lines)


TABLES = {"equivalence": table}
