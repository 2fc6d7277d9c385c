"""Check the utterances of a corpus and write JSON manifests."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from speechbrain.utils.logger import get_logger

from speechbrain_ligru_fast.asr.audio import BadAudio
from speechbrain_ligru_fast.asr.files import is_foreign, stamp, write_whole
from speechbrain_ligru_fast.asr.text import few

from .utterance import audio_path, make_entry

logger = get_logger(__name__)

_LISTED = 20


class Part(NamedTuple):
    """What becomes one manifest."""

    path: Path
    name: str  # For messages
    utterances: dict  # Id -> Utterance
    # Must be whole: an error rate over fewer utterances looks like one of all.
    tested: bool


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
    there = [path for path in root.glob("*") if path.is_dir()]
    found = sorted(x.name for x in there if not is_foreign(x.name))
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
        words = f"max_bad_fraction must be in [0, 1], got {max_bad_fraction!r}"
        raise ValueError(words)
    data_folder = Path(data_folder).absolute()
    said = [one for part in parts for one in part.utterances.values()]
    audio = sorted({str(audio_path(one, data_folder)) for one in said})
    # Before they are looked at: what is changed meanwhile is looked at again.
    inputs = (parts, data_folder, max_bad_fraction, key, stamp(audio))
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
        write_whole(path, json.dumps(manifest, indent=2) + "\n")
        minutes = sum(entry["duration"] for entry in manifest.values()) / 60
        logger.info("%s: %d, %.1f minutes", path, len(manifest), minutes)
    if all(len(m) == len(p.utterances) for m, p in zip(manifests, parts)):
        write_whole(marker, f"{inputs} {stamp(paths)}\n")


def _collect(part, data_folder, max_bad_fraction, key):
    """The manifest of a part; skip, name and count what can't be used."""

    def attempt(utterance):
        try:
            return make_entry(utterance, data_folder, key)
        except (BadAudio, OSError) as error:
            return str(error)

    total = len(part.utterances)
    if not total:
        raise ValueError(f"{part.name}: no utterance found")
    with ThreadPoolExecutor() as pool:
        results = pool.map(attempt, part.utterances.values())
        found = dict(zip(part.utterances, results, strict=True))
    manifest = {k: entry for k, entry in found.items() if type(entry) is dict}
    bad = [f"{k}: {why}" for k, why in found.items() if k not in manifest]
    for line in bad:
        logger.warning("%s: skipping %s", part.name, line)
    rule, allowed = f"{max_bad_fraction=:g}", max_bad_fraction * total
    if part.tested:
        rule, allowed = "a test set must be whole: mend them, or remove ", 0
        rule += "their audio and transcripts from the corpus"
    share = f"{len(bad)} of {total}"
    if not manifest or len(bad) > allowed:
        listed = few([f"\n  {line}" for line in bad], _LISTED)
        unusable = f"{part.name}: {share} utterances cannot be used"
        raise ValueError(f"{unusable} ({rule}){listed}")
    if bad:
        logger.warning("%s: skipped %s", part.name, share)
    return manifest
