"""LibriSpeech, or any corpus in its layout, to JSON manifests."""

import string
from collections import Counter
from pathlib import Path

from speechbrain_ligru_fast.asr.audio import audio_info
from speechbrain_ligru_fast.asr.files import find_files, read_lines
from speechbrain_ligru_fast.asr.text import normalize_text

from .manifest import (
    BadUtterance,
    Part,
    as_list,
    check_fraction,
    prepare_parts,
    subfolders,
)

_AUDIO, _TEXT = ".flac", ".trans.txt"
_UPPER = string.ascii_uppercase + "' "
_LOWER = _UPPER.lower()


def prepare_librispeech(
    data_folder,
    save_folder,
    train_splits=("train-clean-100", "train-clean-360", "train-other-500"),
    dev_splits=("dev-clean",),
    test_splits=("test-clean", "test-other"),
    max_bad_fraction=0.05,
    skip_prep=False,
    letter_case=None,
):
    """Write the manifests of a LibriSpeech-shaped corpus.

    The corpus is ``<split>/<speaker>/<chapter>/<utterance>.flac`` with one
    ``<speaker>-<chapter>.trans.txt`` a chapter. Written to `save_folder`:
    ``train.json`` (all training splits), ``valid.json`` (all development
    splits) and one ``<split>.json`` for each test split; none for an empty
    list. A second call with the same arguments does nothing, unless a file of
    the corpus has changed since or an utterance was skipped.

    Arguments
    ---------
    data_folder : path-like
        The folder with the splits, or its parent if they are in LibriSpeech/.
    save_folder : path-like
        Where to write the manifests.
    train_splits, dev_splits, test_splits : list or comma-separated str
        Folder names, any.
    max_bad_fraction : float
        Utterances with unusable audio or transcript are skipped with a
        warning; fail if they are more than this share of a manifest. A
        test set must be whole.
    skip_prep : bool
        Do nothing.
    letter_case : None, "upper" or "lower"
        What to make of the letters of every transcript. Default: they must be
        A-Z.

    Raises
    ------
    FileNotFoundError
        If `data_folder` does not hold every split.
    ValueError
        For a bad option or too many bad utterances. No manifest is touched.

    Example
    -------
    >>> prepare_librispeech("LibriSpeech", "prepared", skip_prep=True)
    """
    if skip_prep:
        return
    check_fraction(max_bad_fraction)
    sets = _sets(train_splits, dev_splits, test_splits)
    data_folder = Path(data_folder)
    root = _find_root(data_folder, sum(sets.values(), []))

    arguments = {
        "data_folder": str(data_folder.resolve()),
        "sets": sets,
        "letter_case": letter_case,
    }
    files = {
        name: _find([root / split for split in splits])
        for name, splits in sets.items()
    }
    parts = [
        Part(
            path=Path(save_folder, f"{name}.json"),
            name=f"LibriSpeech {name}",
            utterances=_pair(found),
            tested=name not in ("train", "valid"),
        )
        for name, found in files.items()
    ]

    def read(utterance):
        return read_utterance(*utterance, data_folder, letter_case)

    marker = Path(save_folder, "librispeech_prepared.json")
    prepare_parts(
        marker,
        arguments,
        sum(files.values(), []),
        parts,
        read,
        max_bad_fraction,
    )


def _sets(train_splits, dev_splits, test_splits):
    """Map each manifest's name to its splits; refuse a split used twice.

    What was developed on may be a test set too: a search's settings are chosen
    there.
    """
    options = {
        "train_splits": as_list(train_splits),
        "dev_splits": as_list(dev_splits),
        "test_splits": as_list(test_splits),
    }
    named = sum(options.values(), [])
    if not named:
        raise ValueError("train_splits, dev_splits and test_splits are empty")
    counts = {key: Counter(splits) for key, splits in options.items()}
    train, dev, test = counts.values()
    used = train + (dev | test)
    twice = sorted(split for split, times in used.items() if times > 1)
    if twice:
        raise ValueError(
            f"{', '.join(twice)} given more than once in "
            + ", ".join(f"{key}={value}" for key, value in options.items())
        )
    sets = {
        "train": options["train_splits"],
        "valid": options["dev_splits"],
    }
    clash = sets.keys() & set(options["test_splits"])
    if clash:
        raise ValueError(
            f"test_splits={options['test_splits']}: the name "
            f"{', '.join(sorted(clash))} is taken by another manifest"
        )
    sets |= {split: [split] for split in options["test_splits"]}
    return {name: splits for name, splits in sets.items() if splits}


def _find_root(data_folder, splits):
    """The folder that holds all splits: data_folder or its LibriSpeech/."""
    roots = [data_folder, data_folder / "LibriSpeech"]
    # The better of the two, so that one missing split is the one reported.
    root = max(roots, key=lambda r: sum((r / s).is_dir() for s in splits))
    missing = [split for split in splits if not (root / split).is_dir()]
    if not missing:
        return root
    if len(missing) < len(splits):
        roots = [root]
    looked = [str(root / split) for root in roots for split in missing]
    raise FileNotFoundError(
        f"data_folder={str(data_folder)!r} lacks {', '.join(missing)}. "
        f"Looked for: {', '.join(looked)}. "
        f"Folders found in {root}: {subfolders(root)}"
    )


def find_utterances(folders):
    """List the utterances of some splits.

    Arguments
    ---------
    folders : iterable of Path
        Folders of the splits.

    Returns
    -------
    dict
        Utterance id -> (audio path or None, transcript or None).

    Raises
    ------
    ValueError
        If an utterance is there twice.
    """
    return _pair(_find(folders))


def _find(folders):
    return [
        path for folder in folders for path in find_files(folder, _AUDIO, _TEXT)
    ]


def _pair(files):
    texts, audio = {}, {}
    for path in files:
        if path.name.lower().endswith(_AUDIO):
            _add(audio, path.stem, path, path)
            continue
        # A line that is no text makes one utterance unusable.
        for line in read_lines(path, errors="replace"):
            key, _, text = line.strip().partition(" ")
            if key:
                _add(texts, key, text.strip(), path)
    return {
        key: (
            audio[key][0] if key in audio else None,
            texts[key][0] if key in texts else None,
        )
        for key in sorted(audio.keys() | texts.keys())
    }


def _add(known, key, value, path):
    if key in known:
        raise ValueError(
            f"utterance {key} is twice in the corpus: in {known[key][1]} and "
            f"in {path}"
        )
    known[key] = (value, path)


def read_utterance(wav, text, data_folder, letter_case=None):
    """Make the manifest entry of one utterance.

    Arguments
    ---------
    wav : Path or None
        The audio.
    text : str or None
        The transcript.
    data_folder : Path
        What ``{data_root}`` stands for.
    letter_case : None, "upper" or "lower"
        See normalize_text.

    Returns
    -------
    entry : dict
    audio : AudioInfo

    Raises
    ------
    BadUtterance
        If either is missing or unusable.
    BadAudio
        For a file that can't be read.
    """
    if wav is None:
        raise BadUtterance("transcript without a .flac file")
    audio = audio_info(wav)
    if not text:
        kind = "no" if text is None else "empty"
        raise BadUtterance(f"{kind} transcript of {wav} in a .trans.txt file")
    words = normalize_text(text, letter_case)
    allowed = _LOWER if letter_case == "lower" else _UPPER
    strange = set(words) - set(allowed)
    if strange:
        raise BadUtterance(
            f"transcript {text!r} holds {''.join(sorted(strange))!r}, "
            f"allowed are {allowed[0]}-{allowed[25]}, apostrophe and space; "
            "letter_case changes letters, and annotations may have any text"
        )
    return {
        "wav": f"{{data_root}}/{wav.relative_to(data_folder).as_posix()}",
        "duration": audio.duration,
        "spk_id": wav.stem.split("-")[0],
        "wrd": words,
    }, audio
