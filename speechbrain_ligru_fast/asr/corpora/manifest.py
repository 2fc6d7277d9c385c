"""Collect the usable utterances of a corpus and write JSON manifests."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import soundfile
from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)

SAMPLE_RATE = 16000
_LISTED = 20


class BadUtterance(Exception):
    """An utterance that cannot be used; the message says why."""


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


def audio_duration(path):
    """Length of a 16 kHz mono file, in seconds.

    Only the header and the last frame are decoded: that finds truncated
    files and costs the same for short and long ones.

    Arguments
    ---------
    path : path-like
        Any format that libsndfile reads (RIFF, SPHERE, FLAC, ...).

    Returns
    -------
    float

    Raises
    ------
    BadUtterance
        If the file is missing, unreadable, empty, truncated, or not 16 kHz
        mono.
    """
    if not Path(path).is_file():
        raise BadUtterance(f"no audio file {path}")
    try:
        with soundfile.SoundFile(path) as audio:
            frames, rate, channels = (
                audio.frames,
                audio.samplerate,
                audio.channels,
            )
            if frames == 0:
                raise BadUtterance(f"empty audio file {path}")
            audio.seek(frames - 1)
            whole = len(audio.read(1)) == 1
    except (OSError, RuntimeError) as err:
        raise BadUtterance(f"unreadable audio file {path}: {err}") from err
    if not whole:
        raise BadUtterance(f"truncated audio file {path}")
    if (rate, channels) != (SAMPLE_RATE, 1):
        raise BadUtterance(
            f"{path} has {rate} Hz and {channels} channel(s), "
            f"wanted {SAMPLE_RATE} Hz mono"
        )
    return frames / SAMPLE_RATE


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
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
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
        Returns the manifest entry of an utterance, or raises BadUtterance.
    max_bad_fraction : float
        Largest share of bad utterances to accept.
    tested : bool
        Whether it is a test set, which must be whole: an error rate over
        fewer utterances looks like one over all.

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
        except (BadUtterance, OSError) as err:
            return key, None, str(err)

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(attempt, utterances.items()))
    entries = {key: entry for key, entry, reason in results if reason is None}
    bad = [f"{key}: {reason}" for key, _, reason in results if reason]
    for line in bad:
        logger.warning("%s: skipping %s", name, line)
    if not results:
        raise ValueError(f"{name}: no utterance found")
    allowed = 0 if tested else max_bad_fraction * len(results)
    if not entries or len(bad) > allowed:
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
    return entries


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


def is_prepared(marker, arguments, paths):
    """Whether the same preparation has already finished.

    Arguments
    ---------
    marker : path-like
        The file that `write_manifests` leaves.
    arguments : dict
        What the preparation depends on; must survive JSON.
    paths : iterable of path-like
        The manifests.

    Returns
    -------
    bool
    """
    if not all(Path(path).is_file() for path in (marker, *paths)):
        return False
    try:
        return json.loads(Path(marker).read_text("utf-8")) == arguments
    except ValueError:
        return False


def write_manifests(manifests, marker, arguments):
    """Write finished manifests, then the marker that says so.

    Arguments
    ---------
    manifests : dict
        Path -> manifest.
    marker : path-like
        Written last, removed first.
    arguments : dict
        Content of the marker, see `is_prepared`.
    """
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
    write_atomically(marker, json.dumps(arguments, indent=2) + "\n")
