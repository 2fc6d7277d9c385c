"""LibriSpeech, or any corpus in its layout, to JSON manifests."""

import string
from collections import Counter
from pathlib import Path

from speechbrain_ligru_fast.asr.files import find_files, read_lines
from speechbrain_ligru_fast.asr.text import normalize_text
from speechbrain_ligru_fast.training.command_line import as_list

from .manifest import Part, find_folders, write_manifests
from .utterance import Utterance, unique

_AUDIO, _TEXT = ".flac", ".trans.txt"
_UPPER = string.ascii_uppercase + "' "


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
    ``train.json``, ``valid.json`` and one ``<split>.json`` for each test
    split; none for an empty list. A second call does nothing, see
    write_manifests.

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
    splits = (train_splits, dev_splits, test_splits)
    parts = find_parts(data_folder, save_folder, *splits, letter_case)
    write_manifests(parts, data_folder, max_bad_fraction)


def find_parts(
    data_folder, save_folder, train_splits, dev_splits, test_splits, letter_case
):
    """The Parts of prepare_librispeech, which says what is raised."""
    # What was developed on may be a test set too: a search's settings are
    # chosen there.
    train, dev, test = map(as_list, (train_splits, dev_splits, test_splits))
    used = Counter(train) + (Counter(dev) | Counter(test))
    twice = sorted(split for split, times in used.items() if times > 1)
    sets = f"train_splits={train}, dev_splits={dev}, test_splits={test}"
    if twice:
        raise ValueError(f"{', '.join(twice)} given more than once in {sets}")
    for name in {"train", "valid"} & set(test):
        raise ValueError(f"{sets}: the name {name} is taken by its manifest")
    data_folder = Path(data_folder).absolute()
    names = list(dict.fromkeys([*train, *dev, *test]))
    roots = [data_folder, data_folder / "LibriSpeech"]
    found = find_folders(data_folder, [(root, names) for root in roots])
    folders = dict(zip(names, found, strict=True))
    sets = {"train": train, "valid": dev} | {split: [split] for split in test}
    parts = []
    for name, splits in sets.items():
        if splits:
            said = _find_utterances([folders[s] for s in splits], letter_case)
            path = Path(save_folder, f"{name}.json")
            parts.append(Part(path, f"LibriSpeech {name}", said, name in test))
    return parts


def _find_utterances(folders, letter_case):
    paths = sum((find_files(folder, _AUDIO) for folder in folders), [])
    audio, texts = unique((path.stem, path) for path in paths), []
    for path in sum((find_files(folder, _TEXT) for folder in folders), []):
        # A line that is no text makes one utterance unusable.
        for line in read_lines(path, errors="replace"):
            key, _, text = line.strip().partition(" ")
            texts += [(key, (text, str(path)))] if key else []
    texts = unique(texts)
    return {
        key: _utterance(audio.get(key), texts.get(key), letter_case)
        for key in sorted(audio.keys() | texts.keys())
    }


def _utterance(path, text, letter_case):
    if path is None:
        return Utterance(problem="transcript without a .flac file")
    heard = Utterance(str(path), speaker=path.stem.split("-")[0])
    if text is None:
        return heard
    words = normalize_text(text[0], letter_case)
    allowed = _UPPER.lower() if letter_case == "lower" else _UPPER
    strange = "".join(sorted(set(words) - set(allowed)))
    problem = strange and (
        f"transcript {text[0]!r} holds {strange!r}, allowed are {allowed[0]}-"
        f"{allowed[25]}, apostrophe and space; letter_case changes letters, "
        "and annotations may have any text"
    )
    return heard._replace(text=words, problem=problem or None)
