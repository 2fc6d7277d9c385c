"""Is a difference more than luck?

    python -m benchmarks.stats texts_test_A.csv texts_test_B.csv

compares the word errors of two systems on one test set: each file is a
``texts_*.csv`` of an experiment. Speakers are drawn again and again, the same
for both (a paired bootstrap). Other seeds are for `compare_seeds` to judge.
"""

import sys

import jiwer
import numpy as np
from scipy import stats

from benchmarks import rows
from speechbrain_ligru_fast.training.results import read_rows


def compare_seeds(first, second):
    """Whether two samples of error rates, one a seed, have the same mean.

    Returns the difference of the means, and p of the exact two-sided
    permutation test.

    Example
    -------
    >>> difference, p = compare_seeds([20, 21, 22, 23], [10, 11, 12, 13])
    >>> difference, round(p, 3)  # the two most extreme of 70 divisions
    (10.0, 0.029)
    """
    found = stats.permutation_test(
        (np.asarray(first, float), np.asarray(second, float)),
        lambda a, b, axis: a.mean(axis) - b.mean(axis),
        vectorized=True,
        n_resamples=np.inf,
    )
    return float(found.statistic), float(found.pvalue)


def compare_texts(first, second, resamples=10_000):
    """How two systems' errors differ, in percent, and an interval of 95 %.

    Of each a dict, speaker -> errors and words, on the same speech.
    """
    sizes = [{k: words for k, (_, words) in x.items()} for x in (first, second)]
    if sizes[0] != sizes[1]:
        raise ValueError("the two are not of the same texts")
    ours, theirs = (np.array([x[k] for k in first]) for x in (first, second))

    def difference(a, b, words, axis=-1):
        return 100 * (a - b).sum(axis) / words.sum(axis)

    data = ours[:, 0], *theirs.T
    how = {"paired": True, "vectorized": True, "method": "percentile"}
    how |= {"n_resamples": resamples, "rng": np.random.default_rng(0)}
    ends = stats.bootstrap(data, difference, **how).confidence_interval
    return float(difference(*data)), float(ends.low), float(ends.high)


def read_texts(path):
    """Speaker -> errors and words, of a ``texts_*.csv``."""
    found = {}
    for row in read_rows(path)[1]:
        speaker = row["id"].replace("_", "-").partition("-")[0]
        out = jiwer.process_words(row["reference"], row["hypothesis"])
        errors = out.substitutions + out.deletions + out.insertions
        old = found.get(speaker, (0, 0))
        found[speaker] = old[0] + errors, old[1] + len(out.references[0])
    return found


def main(argv=None):
    """Runs the tool; returns the exit status."""
    tool = rows.parser("benchmarks.stats", __doc__)
    tool.add_argument("texts", nargs=2, metavar="TEXTS_CSV")
    try:
        found = compare_texts(*map(read_texts, tool.parse_args(argv).texts))
    except (OSError, ValueError, KeyError) as error:
        print(f"stats: {error}", file=sys.stderr)
        return 1
    print("{:+.2f} % of the words, 95 %: {:+.2f} to {:+.2f}".format(*found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
