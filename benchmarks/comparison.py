"""Mean and standard deviation over the seeds of trained systems."""

import shlex

import pandas as pd

from benchmarks import trainings
from benchmarks.commands import other_options, shown_options, speakers
from benchmarks.rows import newest

# What was trained and tested on; empty in rows that do not tell
MANIFESTS = ["train_manifest", "valid_manifest", "test_manifest"]
# Rows that differ in nothing here are repetitions with other seeds.
GROUP = [
    "device",
    "threads",
    "corpus",
    "split",
    "recipe",
    "rnn",
    "impl",
    "lm",
    "precision",
    "epochs",
    "settings",
    *MANIFESTS,
]
_WORDS = {*GROUP, "seed", "command"} - {"threads", "epochs"}
RATES = ["wer", "cer", "per"]
COSTS = ["epoch_s", "decode_rtf", "peak_mb", "params"]


def repetitions(rows):
    """The newest row of each system and seed, with what older ones add.

    A test that is repeated later measures less than the first, which
    followed its training: its empty cells are the older row's. The time of
    an epoch is the training's, see `benchmarks.trainings`.

    Arguments
    ---------
    rows : pandas.DataFrame
        Of recipes.csv; an older file may lack columns.

    Returns
    -------
    pandas.DataFrame
        With every column of GROUP, RATES and COSTS, the ``options`` of
        their commands, and of those the ``speakers``.
    """
    if rows.empty:
        return rows
    rows = rows.copy()
    for column in [*GROUP, "seed", "command", *RATES, *COSTS]:
        if column not in rows:
            rows[column] = "" if column in _WORDS else float("nan")
    others = [other_options(command) for command in rows["command"]]
    rows["options"] = list(map(shown_options, others))
    rows["speakers"] = list(map(speakers, others))
    rows = trainings.settle(rows)
    key, figures = [*GROUP, "seed"], [*RATES, *COSTS]
    same = rows.groupby(key, dropna=False, sort=False)
    rows[figures] = same[figures].ffill()
    return newest(rows, key)


def means(rows):
    """A row a system: number of seeds, means, deviations of the rates.

    Arguments
    ---------
    rows : pandas.DataFrame
        Of recipes.csv.

    Returns
    -------
    pandas.DataFrame
        Columns of GROUP, ``seeds``, ``options``, ``speakers``, the rates and
        their ``_std`` (of a sample; NaN with one seed), the costs, and
        ``newest``, the index of the newest row; best error rate first.

    Example
    -------
    >>> rows = pd.DataFrame({"seed": ["1", "2"], "wer": [8.0, 10.0]})
    >>> means(rows)[["seeds", "wer", "wer_std"]].round(2).values.tolist()
    [[2.0, 9.0, 1.41]]
    """
    rows = repetitions(rows)
    if rows.empty:
        return rows
    groups = rows.groupby(GROUP, dropna=False, sort=False)
    found = groups[RATES + COSTS].mean()
    found["seeds"] = groups["seed"].nunique()
    found["options"] = groups["options"].agg(_only)
    # A row from before the corpus named them has none.
    found["speakers"] = groups["speakers"].max()
    found["newest"] = groups["seed"].agg(lambda seeds: seeds.index.max())
    for rate in RATES:
        found[f"{rate}_std"] = groups[rate].std(ddof=1)
    found = found.reset_index()
    found["rate"] = found["wer"].fillna(found["per"])
    order = ["corpus", "split", "recipe", "lm", "device", "rate"]
    return found.sort_values(order, ignore_index=True).drop(columns="rate")


def _only(values):
    """What all have; rows without settings may differ in their options."""
    return values.iloc[0] if values.nunique() == 1 else "several"


def shared_options(options):
    """Those that all systems of a table have.

    Arguments
    ---------
    options : iterable of str
        Of each of them.

    Returns
    -------
    str

    Example
    -------
    >>> shared_options(["--lr=0.1 --seeds=2", "--lr=0.1"])
    '--lr=0.1'
    """
    first, *others = (shlex.split(words) for words in options)
    return shlex.join(
        word for word in first if all(word in other for other in others)
    )


def own_options(options, others):
    """Those that not all systems of a table have.

    Arguments
    ---------
    options : str
        Of one system.
    others : iterable of str
        Of all of them.

    Returns
    -------
    str

    Example
    -------
    >>> own_options("--lr=0.1 --seeds=2", ["--lr=0.1 --seeds=2", "--lr=0.1"])
    '--seeds=2'
    """
    common = shlex.split(shared_options(others))
    return shlex.join(w for w in shlex.split(options) if w not in common)


HEADER = (
    "corpus|split|recipe|layer|by|LM|epochs|options|settings|seeds|WER %|"
    "CER %|PER %|s/epoch|RTF|peak MiB|parameters|device"
).split("|")


def cells(found):
    """The printed cells of what `means` returned, in HEADER's order.

    Arguments
    ---------
    found : pandas.DataFrame

    Returns
    -------
    list of list of str
    """
    return [
        [
            corpus(row),
            row["split"],
            row["recipe"],
            row["rnn"],
            row["impl"],
            row["lm"],
            _number(row["epochs"], ".0f"),
            row["options"],
            row["settings"],
            str(row["seeds"]),
            *(spread(row[rate], row[f"{rate}_std"]) for rate in RATES),
            _number(row["epoch_s"], ".1f"),
            _number(row["decode_rtf"], ".3f"),
            _number(row["peak_mb"], ".0f"),
            _number(row["params"], ".0f"),
            machine(row),
        ]
        for _, row in found.iterrows()
    ]


def spread(mean, deviation):
    """A printed mean over seeds; the deviation of one seed is NaN.

    Example
    -------
    >>> spread(8.0, 1.414), spread(8.0, float("nan"))
    ('8.00 ± 1.41', '8.00')
    """
    text = _number(mean, ".2f")
    return text if pd.isna(deviation) else f"{text} ± {deviation:.2f}"


def _number(value, form):
    """Empty for a cell that an older file did not have."""
    return "" if pd.isna(value) else format(value, form)


def machine(row):
    """Device and threads of a row.

    Example
    -------
    >>> machine({"device": "CPU", "threads": 2}), machine(
    ...     {"device": "CPU", "threads": float("nan")}
    ... )
    ('CPU, 2 threads', 'CPU')
    """
    threads = _number(row["threads"], ".0f")
    return row["device"] + (f", {threads} threads" if threads else "")


def corpus(row):
    """A row's corpus and, where it tells, what of it was read.

    Example
    -------
    >>> corpus({"corpus": "AN4", **dict.fromkeys(MANIFESTS, "")})
    'AN4'
    >>> corpus({"corpus": "AN4", **dict(zip(MANIFESTS, "abc"))})
    'AN4 (a b c)'
    """
    found = " ".join(filter(None, (row[key] for key in MANIFESTS)))
    return f"{row['corpus']} ({found})" if found else row["corpus"]
