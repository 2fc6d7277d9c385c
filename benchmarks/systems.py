"""What trained systems reach, from the rows that their recipes appended."""

import shlex

import numpy as np
import pandas as pd

from speechbrain_ligru_fast.training.results import read_rows

# Rows that are equal in these are repetitions with other seeds.
SYSTEM = (
    "recipe corpus split device threads rnn impl lm epochs settings "
    "train_manifest valid_manifest test_manifest"
).split()
RATES = ["wer", "cer", "per"]
COSTS = ["epoch_s", "decode_rtf", "peak_mb", "params", "gmm_s", "train_s"]
_NUMBERS = {*RATES, *COSTS, "threads", "epochs"}
# Options that another column tells, or that decide no result.
_TOLD = (
    "seed output_folder results_csv rnn_class data_folder corpus device "
    "number_of_epochs noprogressbar test_only test_splits lm_folder backend jit"
).split()


def load(path):
    """Rows of a result file, oldest first; without the file, none.

    Raises ValueError if it is no table, or a cell of a number none.
    """
    try:
        columns, rows = read_rows(path)
    except FileNotFoundError:
        columns, rows = [], []
    frame = pd.DataFrame(rows, columns=columns, dtype=str)
    for column in _NUMBERS.intersection(columns):
        cells = frame[column].str.strip().replace("", "nan")
        frame[column] = pd.to_numeric(cells, errors="coerce")
        wrong = cells[frame[column].isna() & (cells != "nan")]
        for i, cell in wrong.items():  # The header is the first line.
            words = f"line {i + 2}: {column} must be a number, got {cell!r}"
            raise ValueError(f"{path}, {words}")
    return frame


def by_name(words):
    """Options and their values; a flag has none.

    Raises ValueError if one is given twice, or a value stands first.

    Example
    -------
    >>> by_name(["--lr", "0.1", "--jit", "--seed=2"])
    {'--lr': ['0.1'], '--jit': [], '--seed': ['2']}
    """
    found, last = {}, None
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("--"):
            if name in found:
                raise ValueError(f"{name} is given twice")
            found[name], last = [value] * bool(equals), name
        elif last is None:
            raise ValueError(f"{word}: options begin with --")
        else:
            found[last].append(word)
    return found


def options(command):
    """Those that a row's command gave to its script, by name.

    Example
    -------
    >>> options("torchrun --nproc_per_node=8 train.py a.yaml --lr 0.1")
    {'--lr': ['0.1']}
    """
    try:
        words = shlex.split(command.partition(".py ")[2])
        while words and not words[0].startswith("--"):
            words.pop(0)
        return by_name(words)
    except ValueError as error:
        raise ValueError(f"command of a row, {command!r}: {error}") from error


def systems(rows):
    """A row a system, from what `load` gives: its rates, a list each.

    Of a seed's rows the newest counts; what a later test did not measure is
    the older row's. Beside them: ``seeds`` and ``commands``, means of the
    costs, where the newest row stood (``at``), and the ``options`` that not
    all systems of the recipe and corpus have.

    Example
    -------
    >>> rows = pd.DataFrame({"seed": ["1", "2", "1"], "wer": [9.0, 10.0, 8.0]})
    >>> systems(rows)[["seeds", "wer"]].values.tolist()
    [[['1', '2'], [8.0, 10.0]]]
    """
    rows = rows.assign(at=range(len(rows)))
    for column in {*SYSTEM, "seed", "command", *RATES, *COSTS}.difference(rows):
        rows[column] = np.nan if column in _NUMBERS else ""
    alike = {"dropna": False, "sort": False, "as_index": False}
    # Of each column the last cell that is not empty
    rows = rows.groupby([*SYSTEM, "seed"], **alike).last()
    found = rows.groupby(SYSTEM, **alike).agg(
        seeds=("seed", list),
        commands=("command", list),
        at=("at", "max"),
        **{name: (name, list) for name in RATES},
        **{name: (name, "mean") for name in COSTS},
    )
    found["options"] = ""
    for _, same in found.groupby(["recipe", "corpus"]):
        given = [options(commands[-1]) for commands in same["commands"]]
        own = [
            {shlex.join([k, *v]) for k, v in x.items() if k[2:] not in _TOLD}
            for x in given
        ]
        words = [" ".join(sorted(x - set.intersection(*own))) for x in own]
        found.loc[same.index, "options"] = words
    return found


def text(value):
    """A cell: of seeds the mean, the deviation and each; of no figure nothing.

    Example
    -------
    >>> text([8.0, 10.0]), text([9.5]), text(2.71828), text(2177670.0)
    ('9.00 ± 1.41 (8.00, 10.00)', '9.50 (one seed)', '2.72', '2177670')
    """
    if isinstance(value, str):
        return value
    if np.isnan(value).all():
        return ""
    if not isinstance(value, list):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    if len(value) == 1:
        return f"{value[0]:.2f} (one seed)"
    each = ", ".join(f"{rate:.2f}" for rate in value)
    return f"{np.mean(value):.2f} ± {np.std(value, ddof=1):.2f} ({each})"


def filled(frame):
    """Cells of text; columns that are empty are left out."""
    cells = frame.map(text)
    return cells.loc[:, (cells != "").any()]


def table(found):
    """Cells of text of `systems`, lowest error rate first."""
    mean = found[["wer", "per"]].map(np.mean)
    found = found.assign(mean=mean["wer"].fillna(mean["per"]))
    order = ["corpus", "split", "recipe", "lm", "device", "mean"]
    columns = [*SYSTEM, "options", *RATES, *COSTS]
    return filled(found.sort_values(order)[columns])
