"""Collect the usable utterances of a corpus and write JSON manifests."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from speechbrain.utils.logger import get_logger

from speechbrain_ligru_fast.asr.audio import BadAudio, summarize_formats
from speechbrain_ligru_fast.asr.files import is_foreign, stamp

logger = get_logger(__name__)

SAMPLE_RATE = 16000
_LISTED = 20


class BadUtterance(Exception):
    """An utterance that cannot be used; the message says why."""


class Part(NamedTuple):
    """What becomes one manifest."""

    path: Path
    # For messages
    name: str
    # Utterance id -> whatever its preparation reads
    utterances: dict
    # A test set must be whole: an error rate over fewer utterances looks like
    # one over all.
    tested: bool


def as_list(value):
    """Normalise an option given as a list or, from a command line, a string.

    Arguments
    ---------
    value : None, str, int or iterable
        Nothing, comma-separated names, one number, or names.

    Returns
    -------
    list of str

    Example
    -------
    >>> as_list("FALR0, MAEB0"), as_list(104), as_list(None)
    (['FALR0', 'MAEB0'], ['104'], [])
    """
    if value is None:
        return []
    if isinstance(value, (str, int)):
        value = str(value).split(",")
    names = [str(name).strip() for name in value]
    return [name for name in names if name]


def subfolders(folder):
    """Name the folders in a folder, for messages.

    Arguments
    ---------
    folder : Path
        May be absent.

    Returns
    -------
    str
    """
    if not folder.is_dir():
        return "none"
    names = sorted(
        path.name
        for path in folder.iterdir()
        if not is_foreign(path.name) and path.is_dir()
    )
    return ", ".join(names) or "none"


def check_fraction(max_bad_fraction):
    """Refuse a threshold that is not a fraction.

    Raises
    ------
    ValueError
        If `max_bad_fraction` is outside [0, 1].
    """
    if not 0 <= max_bad_fraction <= 1:
        raise ValueError(
            f"max_bad_fraction must be in [0, 1], got {max_bad_fraction!r}"
        )


def collect(name, utterances, read, max_bad_fraction, tested=False):
    """Read all utterances of one manifest; skip, name and count bad ones.

    Arguments
    ---------
    name : str
        What the utterances are, for messages.
    utterances : dict
        Utterance id -> whatever `read` takes.
    read : callable
        Returns the manifest entry of an utterance and the AudioInfo of its
        file, or raises BadUtterance or BadAudio.
    max_bad_fraction : float
        Largest share of bad utterances to accept.
    tested : bool
        Whether it is a test set, of which none may be bad.

    Returns
    -------
    dict
        Utterance id -> manifest entry, in the order of `utterances`.

    Raises
    ------
    ValueError
        If there is no utterance, none is left, or more than
        `max_bad_fraction` of them are bad, in a test set any.
    """

    def attempt(item):
        key, utterance = item
        try:
            return key, read(utterance), None
        except (BadUtterance, BadAudio, OSError) as err:
            return key, None, str(err)

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(attempt, utterances.items()))
    good = {key: read for key, read, reason in results if reason is None}
    bad = [f"{key}: {reason}" for key, _, reason in results if reason]
    for line in bad:
        logger.warning("%s: skipping %s", name, line)
    if not results:
        raise ValueError(f"{name}: no utterance found")
    allowed = 0 if tested else max_bad_fraction * len(results)
    if not good or len(bad) > allowed:
        listed = "".join(f"\n  {line}" for line in bad[:_LISTED])
        if len(bad) > _LISTED:
            listed += f"\n  and {len(bad) - _LISTED} more, see the log"
        rule = f"max_bad_fraction={max_bad_fraction:g}"
        if tested:
            rule = (
                "a test set must be whole: mend them, or remove their audio "
                "and transcripts from the corpus"
            )
        raise ValueError(
            f"{name}: {len(bad)} of {len(results)} utterances cannot be used "
            f"({rule}){listed}"
        )
    if bad:
        logger.warning("%s: skipped %d of %d", name, len(bad), len(results))
    formats = summarize_formats(audio for _, audio in good.values())
    logger.info("%s: %s", name, formats)
    return {key: entry for key, (entry, _) in good.items()}


def write_atomically(path, text):
    """Write a text file so that it is there whole or not at all.

    Arguments
    ---------
    path : path-like
        The file; its folder is made if needed.
    text : str
        The content.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def prepare_parts(marker, arguments, files, parts, read, max_bad_fraction):
    """Write the manifests of a corpus, unless that was done.

    It is done again where an argument, a file or a manifest has changed since,
    and where utterances were skipped, which may have been mended.

    Arguments
    ---------
    marker : path-like
        A file that says what is prepared; written last, removed first.
    arguments : dict
        What the preparation depends on; must survive JSON.
    files : iterable of path-like
        All files that it reads.
    parts : list of Part
    read : callable
        See `collect`.
    max_bad_fraction : float

    Raises
    ------
    ValueError
        For too many bad utterances. No manifest is touched.
    """
    arguments = {
        **arguments,
        "max_bad_fraction": max_bad_fraction,
        "files": stamp(files),
    }
    paths = [part.path for part in parts]
    if _is_prepared(marker, arguments, paths):
        logger.info("Skipping preparation, completed in a previous run.")
        return
    manifests = {
        part.path: collect(
            part.name, part.utterances, read, max_bad_fraction, part.tested
        )
        for part in parts
    }
    Path(marker).unlink(missing_ok=True)
    for path, manifest in manifests.items():
        write_atomically(path, json.dumps(manifest, indent=2) + "\n")
        seconds = sum(entry["duration"] for entry in manifest.values())
        logger.info(
            "%s: %d utterances, %.1f minutes",
            path,
            len(manifest),
            seconds / 60,
        )
    if all(len(manifests[p.path]) == len(p.utterances) for p in parts):
        arguments["manifests"] = stamp(paths)
        write_atomically(marker, json.dumps(arguments, indent=2) + "\n")


def _is_prepared(marker, arguments, paths):
    if not all(Path(path).is_file() for path in (marker, *paths)):
        return False
    arguments = {**arguments, "manifests": stamp(paths)}
    try:
        return json.loads(Path(marker).read_text("utf-8")) == arguments
    except ValueError:
        return False
