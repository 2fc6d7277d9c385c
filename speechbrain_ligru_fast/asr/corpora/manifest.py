"""Check the utterances of a corpus and write JSON manifests."""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from speechbrain.utils.logger import get_logger

from speechbrain_ligru_fast.asr.audio import BadAudio, summarize_formats
from speechbrain_ligru_fast.asr.files import is_foreign, stamp
from speechbrain_ligru_fast.asr.text import few

from .utterance import BadUtterance, audio_path, make_entry

logger = get_logger(__name__)

_LISTED = 20


class Part(NamedTuple):
    """What becomes one manifest."""

    path: Path
    # For messages
    name: str
    # Id -> Utterance
    utterances: dict
    # A test set must be whole: an error rate over fewer utterances looks like
    # one over all.
    tested: bool


def as_list(value):
    """The names in an option: a list or, from a command line, one string.

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


def find_folders(data_folder, places):
    """The folders of the first place that has them all.

    `places` are pairs of a folder and of the names that it should hold. If
    none does, FileNotFoundError tells what the best of them lacks.
    """
    folders = [[root / name for name in names] for root, names in places]
    missing = [[f for f in place if not f.is_dir()] for place in folders]
    best = min(range(len(places)), key=lambda i: len(missing[i]))
    if not missing[best]:
        return folders[best]
    root, names = places[best]
    some = len(missing[best]) < len(names)
    looked = missing[best] if some else sum(missing, [])
    found = sorted(
        path.name
        for path in (root.iterdir() if root.is_dir() else ())
        if not is_foreign(path.name) and path.is_dir()
    )
    lacks = ", ".join(name for name in names if root / name in missing[best])
    raise FileNotFoundError(
        f"data_folder={str(data_folder)!r} lacks {lacks}. "
        f"Looked for: {', '.join(map(str, looked))}. "
        f"Folders found in {root}: {', '.join(found) or 'none'}"
    )


def write_manifests(parts, data_folder, max_bad_fraction, key="wrd"):
    """Write the manifests of some Parts, unless that was done.

    It is done again where the corpus, its audio, an option or a manifest has
    changed since, and where utterances were skipped, which may have been
    mended: ``prepared.sha256`` beside the first manifest, which is written
    last and removed first, says what was prepared.

    Raises ValueError if a part has no utterance, none that can be used or too
    many that can't. No manifest is touched then.
    """
    if not parts:
        raise ValueError("train_splits, dev_splits and test_splits are empty")
    if not 0 <= max_bad_fraction <= 1:
        got = repr(max_bad_fraction)
        raise ValueError(f"max_bad_fraction must be in [0, 1], got {got}")
    data_folder = Path(data_folder).absolute()
    audio = {
        str(audio_path(utterance, data_folder))
        for part in parts
        for utterance in part.utterances.values()
    }
    # Before they are looked at: what is changed meanwhile is looked at again.
    inputs = (parts, data_folder, max_bad_fraction, key, stamp(sorted(audio)))
    inputs = hashlib.sha256(repr(inputs).encode()).hexdigest()
    paths = [part.path for part in parts]
    marker = paths[0].with_name("prepared.sha256")
    done = marker.is_file() and marker.read_text("utf-8")
    if done == f"{inputs} {stamp(paths)}\n":
        logger.info("Skipping preparation, completed in a previous run.")
        return
    manifests = [_collect(p, data_folder, max_bad_fraction, key) for p in parts]
    marker.unlink(missing_ok=True)
    for path, manifest in zip(paths, manifests, strict=True):
        _write(path, json.dumps(manifest, indent=2) + "\n")
        minutes = sum(entry["duration"] for entry in manifest.values()) / 60
        logger.info(
            "%s: %d utterances, %.1f minutes", path, len(manifest), minutes
        )
    if all(len(m) == len(p.utterances) for m, p in zip(manifests, parts)):
        _write(marker, f"{inputs} {stamp(paths)}\n")


def _collect(part, data_folder, max_bad_fraction, key):
    """The manifest of a part; skip, name and count what can't be used."""

    def attempt(utterance):
        try:
            return make_entry(utterance, data_folder, key)
        except (BadUtterance, BadAudio, OSError) as error:
            return None, str(error)

    total = len(part.utterances)
    if not total:
        raise ValueError(f"{part.name}: no utterance found")
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(attempt, part.utterances.values()))
    manifest, infos, bad = {}, [], []
    for name, (entry, info) in zip(part.utterances, results, strict=True):
        if entry is None:
            bad.append(f"{name}: {info}")
            logger.warning("%s: skipping %s", part.name, bad[-1])
        else:
            manifest[name] = entry
            infos.append(info)
    rule, allowed = f"{max_bad_fraction=:g}", max_bad_fraction * total
    if part.tested:
        rule, allowed = "a test set must be whole: mend them, or remove ", 0
        rule += "their audio and transcripts from the corpus"
    if not manifest or len(bad) > allowed:
        listed = few([f"\n  {line}" for line in bad], _LISTED)
        raise ValueError(
            f"{part.name}: {len(bad)} of {total} utterances cannot be used "
            f"({rule}){listed}"
        )
    if bad:
        logger.warning("%s: skipped %d of %d", part.name, len(bad), total)
    logger.info("%s: %s", part.name, summarize_formats(infos))
    return manifest


def _write(path, text):
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
