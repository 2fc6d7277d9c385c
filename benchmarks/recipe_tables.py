"""Markdown tables of what trained systems reach and cost."""

import pandas as pd

from benchmarks import comparison
from benchmarks.recipe_targets import MIN_SEEDS
from benchmarks.rows import SCALING_KEY, newest, where
from benchmarks.tables import NOTHING, markdown, number

_ORDER = "device corpus split recipe rnn impl lm epochs params seed".split()


def systems(data):
    """Means over the seeds of every trained system; see `recipes`."""
    if data.recipes.empty:
        return NOTHING
    found = comparison.means(data.recipes)
    cells = comparison.cells(found.assign(options=_own(found)))
    return _shared(found) + markdown(comparison.HEADER, cells)


def _corpora(found):
    return found.groupby(["recipe", "corpus"], sort=False)


def _own(found):
    """The options of each system that others of its corpus lack."""
    own = {}
    for _, same in _corpora(found):
        for at, options in same["options"].items():
            own[at] = comparison.own_options(options, same["options"])
    return pd.Series(own)


def _shared(found):
    """The options that `_own` left out, a line a recipe and corpus."""
    lines = []
    for (recipe, corpus), same in _corpora(found):
        words = [comparison.shared_options(same["options"])]
        named = same["speakers"][same["speakers"] != ""]
        speakers = named.drop_duplicates().to_list()
        everywhere = len(speakers) == 1 and len(named) == len(same)
        parts = [" ".join(filter(None, words + speakers * everywhere))]
        parts = [f"`{part}`" for part in parts if part]
        if not everywhere:
            # An older row's speakers are in lists of its corpus.
            parts += [f"where given, `{part}`" for part in speakers]
        if parts:
            lines.append(f"- {recipe} on {corpus}: {'; '.join(parts)}")
    head = "Options that all systems of a corpus were given:"
    return "\n".join([head, "", *lines, "", ""]) if lines else ""


_RATES = {"wer": "WER %", "per": "PER %"}
# What tells a reader of a README two systems apart. Of those that are equal in
# it the newest is shown, one of many seeds before one of which a seed was
# tested again elsewhere.
_SHOWN = "recipe corpus split rnn impl lm epochs options".split()
_SHOWN += comparison.MANIFESTS


def results(data, prefix):
    """What a recipe's README shows: the systems' test sets, best first.

    Arguments
    ---------
    data : Data
        The result rows.
    prefix : str
        Start of the recipes' names.
    """
    rows = where(
        data.recipes,
        recipe=lambda name: name.startswith(prefix),
        split=lambda name: name.startswith("test"),
    )
    found = comparison.means(rows)
    if found.empty:
        return NOTHING
    found["settled"] = found["seeds"] >= MIN_SEEDS
    newest = found.sort_values(["settled", "newest"])
    newest = newest.drop_duplicates(_SHOWN, keep="last")
    found = found.loc[found.index.isin(newest.index)]
    rates = [rate for rate in _RATES if found[rate].notna().any()]
    lines = [
        [
            row["recipe"],
            comparison.corpus(row),
            *(row[key] for key in ("rnn", "impl", "lm")),
            f"`{row['own']}`" if row["own"] else "",
            number(row["epochs"]),
            row["seeds"],
            *(
                comparison.spread(row[rate], row[f"{rate}_std"])
                for rate in rates
            ),
            number(row["epoch_s"]),
            number(row["params"], 9),
        ]
        for _, row in found.assign(own=_own(found)).iterrows()
    ]
    header = "recipe|corpus|layer|by|LM|options of its own|epochs|seeds"
    header = header.split("|") + [_RATES[rate] for rate in rates]
    header += ["s/epoch", "parameters"]
    return _shared(found) + markdown(header, lines)


def recipes(data):
    """Newest row of every system and seed, with the command that made it."""
    rows = comparison.repetitions(data.recipes)
    if rows.empty:
        return NOTHING
    names = "split rnn impl lm settings seed".split()
    header = "recipe|corpus|split|rnn|impl|lm|settings|seed|epochs|params|"
    header += "WER %|CER %|PER %|s/epoch|RTF|peak MiB|device|date|commit|"
    return markdown(
        (header + "command").split("|"),
        [
            [
                row["recipe"],
                comparison.corpus(row),
                *(row[key] for key in names),
                number(row["epochs"]),
                number(row["params"], 9),
                *(number(row[key]) for key in ("wer", "cer", "per")),
                *(number(row[key]) for key in ("epoch_s", "decode_rtf")),
                number(row["peak_mb"]),
                comparison.machine(row),
                row["date"],
                row["commit"],
                f"`{row['command']}`",
            ]
            for _, row in rows.sort_values(_ORDER).iterrows()
        ],
    )


_LIBRISPEECH_HOURS = 960
_DEVICES = (1, 8)


def scaling(data):
    """Measured steps of full-size recipes, and epochs computed from them."""
    rows = newest(data.scaling, SCALING_KEY)
    if rows.empty:
        return NOTHING
    lines = [
        [
            row["recipe"],
            row["rnn"],
            row["impl"],
            row["precision"],
            f"{row['device']}, {row['threads']} threads",
            number(row["batch_audio_s"]),
            number(row["step_s"]),
            number(row["peak_mb"], 5),
            *(
                number(epoch_hours(row, _LIBRISPEECH_HOURS, devices))
                for devices in _DEVICES
            ),
            number(row["params"] * 4 / 2**20),
            row["commit"],
            f"`{row['command']}`",
        ]
        for _, row in rows.iterrows()
    ]
    header = "recipe layer by type device".split()
    header += ["s of audio a step", "s a step, measured", "peak MiB, measured"]
    header += [
        f"h an epoch of {_LIBRISPEECH_HOURS} h on {n}, COMPUTED"
        for n in _DEVICES
    ]
    header += ["MiB of gradients a step, COMPUTED", "commit", "command"]
    return markdown(header, lines)


def epoch_hours(row, speech_hours, devices):
    """Hours of an epoch's steps on so many devices, computed.

    Arguments
    ---------
    row : dict-like
        Of the result file.
    speech_hours : float
    devices : int

    Returns
    -------
    float

    Example
    -------
    >>> row = {"batch_audio_s": 200.0, "step_s": 0.5}
    >>> round(epoch_hours(row, speech_hours=960, devices=8), 2)
    0.3
    """
    steps = speech_hours * 3600 / row["batch_audio_s"] / devices
    return steps * row["step_s"] / 3600


def kills(data):
    """Trainings killed at random moments, against unbroken ones."""
    rows = newest(data.kills, ["device", "yaml"])
    if rows.empty:
        return NOTHING
    return markdown(
        "yaml|kills|resumed|from the newest checkpoint|steps lost, at most|"
        "epochs|train loss|train loss, killed|valid loss|valid loss, killed|"
        "equal|device|commit|command".split("|"),
        [
            [
                *(row[key] for key in ("yaml", "kills")),
                # Rows from before these were measured lack them.
                *(
                    row.get(key, "")
                    for key in ("resumes", "from_newest", "lost_steps")
                ),
                row["epochs"],
                *(row[key] for key in ("train_loss", "train_loss_killed")),
                *(row[key] for key in ("valid_loss", "valid_loss_killed")),
                *(row[key] for key in ("equal", "device", "commit")),
                f"`{row['command']}`",
            ]
            for _, row in rows.iterrows()
        ],
    )


def streaming(data):
    """Recognition while audio arrives."""
    key = ["device", "threads", "experiment", "rnn", "impl", "chunk_s"]
    rows = newest(data.streaming, key)
    if rows.empty:
        return NOTHING
    return markdown(
        "experiment|layer|by|chunk s|look-ahead s|ms a chunk|at most|ms at "
        "the end|RTF|files|with the whole's text|device|commit|command".split(
            "|"
        ),
        [
            [
                *(row[key] for key in ("experiment", "rnn", "impl")),
                *(row[key] for key in ("chunk_s", "look_ahead_s", "chunk_ms")),
                *(row[key] for key in ("chunk_ms_max", "end_ms", "rtf")),
                *(row[key] for key in ("files", "same_text")),
                f"{row['device']}, {row['threads']} threads",
                row["commit"],
                f"`{row['command']}`",
            ]
            for _, row in rows.iterrows()
        ],
    )


TABLES = {
    "recipes": recipes,
    "systems": systems,
    "results-timit": lambda data: results(data, "timit"),
    "results-librispeech": lambda data: results(data, "librispeech"),
    "scaling": scaling,
    "kills": kills,
    "streaming": streaming,
}
