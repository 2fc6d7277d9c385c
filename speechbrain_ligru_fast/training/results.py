"""One row for each run and test set, in a CSV that only grows."""

import csv
import json
import logging
import os
import shutil
from pathlib import Path

from speechbrain_ligru_fast.training.lock import locked

logger = logging.getLogger(__name__)

# The cells that the files of a test are called by
NAMES_OF_A_TEST = ("split", "lm", "settings", "test_manifest")


def append_row(path, row):
    """Add a row; two processes may do so at once.

    A file with other columns keeps every cell: columns it lacks are added to
    its right, columns the row lacks stay empty in it.

    Arguments
    ---------
    path : path-like
        The CSV; made if absent.
    row : dict
        Column -> value.

    Raises
    ------
    ValueError
        If the file is not a CSV with named columns. It is left alone.

    Example
    -------
    >>> path = getfixture("tmp_path") / "rows.csv"
    >>> append_row(path, {"wer": 9.1})
    >>> append_row(path, {"wer": 8.7, "seed": 1})
    >>> print(path.read_text())
    wer,seed
    9.1,
    8.7,1
    <BLANKLINE>
    """
    # What a link leads to, not the link, is replaced.
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        columns, rows = read_rows(path)
        columns += [name for name in row if name not in columns]
        # At once: a reader sees the old file or the new one.
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with open(unfinished, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns, lineterminator="\n")
                writer.writeheader()
                writer.writerows([*rows, row])
                file.flush()
                # A network's disk says only then that it is full.
                os.fsync(file.fileno())
            shutil.copymode(path, unfinished)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def append_or_keep(path, row, folder):
    """Add a row; where that fails, keep it elsewhere, and say so."""
    try:
        append_row(path, row)
    except (OSError, ValueError):
        # Whatever else fails, the log has it.
        logger.error("Could not be added to %s: %s", path, json.dumps(row))
        append_row(Path(folder, "unwritten_rows.csv"), row)
        logger.error("The row is kept in %s/unwritten_rows.csv", folder)
        raise
    logger.info("Result row appended to %s", path)


def check_results(path):
    """Refuse, before any work, a file that rows can't be added to."""
    path = Path(path).absolute()
    probe = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            read_rows(path)
            open(path, "r+b").close()
        probe.touch()
        probe.unlink()
    except OSError as error:
        words = f"results_csv: rows can't be added to {path}: {error}"
        raise ValueError(words) from error


def read_rows(path):
    """Column names and rows of a result file."""
    # Spreadsheets write a byte order mark first.
    with open(path, newline="", encoding="utf-8-sig") as file:
        try:
            columns, *cells = list(csv.reader(file)) or [[]]
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path} is no CSV: {error}") from error
    for name in columns:
        # All but the last of their cells would be lost.
        if columns.count(name) > 1:
            words = f"column named {name}: rename or remove all but one"
            raise ValueError(f"{path} has more than one {words}")
    for line, row in enumerate(cells, 2):
        if len(row) != len(columns):
            words = f"columns ({', '.join(columns)})"
            count = f"{len(row)} cells for {len(columns)} {words}"
            raise ValueError(f"{path}, line {line}: {count}")
    return columns, [dict(zip(columns, row)) for row in cells]


def name_lm(folder):
    """What a row calls a language model: the last part of its folder.

    Example
    -------
    >>> name_lm("../../build/an4/lm-sentences/"), name_lm(None)
    ('lm-sentences', 'none')
    """
    if not folder:
        return "none"
    name = os.path.basename(os.path.abspath(folder))
    if name in ("", "none"):
        raise ValueError(
            f"lm_folder={os.fspath(folder)!r} names no language model: rows "
            "and files are called by its last part, which may not be 'none'"
        )
    return name


def name_test(split, lm, settings, test_manifest=""):
    """What the files of a test are called by: cells of its row.

    A system may be tested more than once, with another language model,
    another weight of it, another beam or another set of one name.

    Example
    -------
    >>> name_test("test", "none", "e5143b79")
    'test_e5143b79'
    >>> name_test("eval/clean", "lm", "e77148e2", "5d41402a")
    'eval-clean_lm_e77148e2_5d41402a'
    """
    lm = "" if lm == "none" else lm
    parts = filter(None, [split, lm, settings, test_manifest])
    return "_".join(parts).replace("/", "-")
