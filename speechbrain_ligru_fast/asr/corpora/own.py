"""A corpus in LibriSpeech's layout, annotations of one's own, or both."""

import re
from pathlib import Path

from .annotations import read_annotation
from .librispeech import prepare_librispeech
from .manifest import Part, as_list, check_fraction, prepare_parts
from .utterance import audio_path, read_utterance

_SPLITS = {"train": "train_splits", "valid": "dev_splits"}
_EXAMPLE = "expected names and files, such as {test: data/test}"


def claim_annotations(hparams):
    """Take the user's annotations out of an experiment's settings.

    Those that are not in save_folder are the user's: what they say is checked
    and becomes a manifest in there, which is then the setting. With skip_prep
    they are manifests already.

    Arguments
    ---------
    hparams : dict
        Of the experiment: save_folder, skip_prep, tests_only,
        test_annotations, and train_annotation and valid_annotation, which are
        changed.

    Returns
    -------
    dict
        ``train``, ``valid`` or the name of a test set -> its annotation.

    Raises
    ------
    ValueError
        For a test set without a name of its own.

    Example
    -------
    >>> hparams = {"save_folder": "out/save", "skip_prep": False}
    >>> hparams["tests_only"] = False
    >>> hparams |= {"train_annotation": "my/train.csv"}
    >>> hparams |= {"valid_annotation": "out/save/valid.json"}
    >>> hparams |= {"test_annotations": {"mine": "my/test.csv"}}
    >>> claim_annotations(hparams)
    {'train': 'my/train.csv', 'mine': 'my/test.csv'}
    >>> hparams["train_annotation"]
    'out/save/train.json'
    """
    tests = hparams["test_annotations"]
    if not isinstance(tests, dict):
        raise ValueError(f"test_annotations: got {tests!r}, {_EXAMPLE}")
    for name in tests:
        if name in _SPLITS or not re.fullmatch(r"\w[\w.-]*", str(name)):
            raise ValueError(
                f"test_annotations: got the name {name!r}, which names a file "
                "too: expected letters, digits, '.', '-' and '_', and not "
                "train or valid"
            )
    if hparams["skip_prep"]:
        return {}
    folder = Path(hparams["save_folder"]).resolve()
    own = {}
    for name in _SPLITS:
        key = f"{name}_annotation"
        if not Path(hparams[key]).resolve().is_relative_to(folder):
            if not hparams["tests_only"]:
                own[name] = hparams[key]
            hparams[key] = f"{hparams['save_folder']}/{name}.json"
    return {**own, **{str(name): path for name, path in tests.items()}}


def test_manifests(hparams, folder):
    """The test sets: those of test_annotations, or else of test_splits.

    Arguments
    ---------
    hparams : dict
        Of the experiment.
    folder : path-like
        Where their preparation writes.

    Returns
    -------
    dict
        Name -> manifest.

    Example
    -------
    >>> hparams = {"test_annotations": {}, "test_splits": "a,b"}
    >>> test_manifests(hparams | {"skip_prep": False}, "save")
    {'a': 'save/a.json', 'b': 'save/b.json'}
    """
    own = hparams["test_annotations"]
    if own and hparams["skip_prep"]:
        return {str(name): path for name, path in own.items()}
    names = as_list(own or hparams["test_splits"])
    return {name: f"{folder}/{name}.json" for name in names}


def prepare_corpus(
    annotations,
    data_folder,
    save_folder,
    train_splits,
    dev_splits,
    test_splits,
    text="wrd",
    letter_case=None,
    max_bad_fraction=0.05,
    skip_prep=False,
):
    """Write the manifests of annotations, and of splits for other sets.

    Arguments
    ---------
    annotations : dict
        ``train``, ``valid`` or the name of a test set -> a Kaldi data folder
        or a file, see read_annotation. Where there is one for a set, its
        splits are not looked for.
    data_folder : path-like
        What ``{data_root}`` stands for and relative paths of audio are
        relative to; and the folder of the splits, see prepare_librispeech.
    save_folder : path-like
        Where to write the manifests.
    train_splits, dev_splits, test_splits : list or comma-separated str
        See prepare_librispeech.
    text : str
        Key of the transcript.
    letter_case : None, "upper" or "lower"
        What to make of the letters of every transcript.
    max_bad_fraction : float
        See prepare_librispeech.
    skip_prep : bool
        Do nothing.

    Raises
    ------
    FileNotFoundError
        If there is no such annotation or split.
    ValueError
        For a bad option or annotation, or too many bad utterances. No
        manifest of them is touched.
    """
    if skip_prep:
        return
    check_fraction(max_bad_fraction)
    tests = [name for name in annotations if name not in _SPLITS]
    splits = {
        "train_splits": [] if "train" in annotations else train_splits,
        "dev_splits": [] if "valid" in annotations else dev_splits,
        "test_splits": [] if tests else test_splits,
    }
    # First what is quickly found to be wrong
    read = {
        name: read_annotation(path, text) for name, path in annotations.items()
    }
    if not annotations or any(map(as_list, splits.values())):
        prepare_librispeech(
            data_folder,
            save_folder,
            **splits,
            letter_case=letter_case,
            max_bad_fraction=max_bad_fraction,
        )
    if annotations:
        _prepare(
            *(annotations, read, data_folder, save_folder),
            *(text, letter_case, max_bad_fraction),
        )


def _prepare(
    annotations,
    read,
    data_folder,
    save_folder,
    text,
    letter_case,
    max_bad_fraction,
):
    parts = [
        Part(
            path=Path(save_folder, f"{name}.json"),
            name=f"{name} ({annotations[name]})",
            utterances=utterances,
            tested=name not in _SPLITS,
        )
        for name, (utterances, _) in read.items()
    ]
    files = [path for _, sources in read.values() for path in sources]
    audio = {
        audio_path(utterance, data_folder)
        for part in parts
        for utterance in part.utterances.values()
        if utterance.file
    }
    arguments = {
        "data_folder": str(Path(data_folder).resolve()),
        "annotations": {k: str(path) for k, path in annotations.items()},
        "text": text,
        "letter_case": letter_case,
    }
    prepare_parts(
        Path(save_folder, "annotations_prepared.json"),
        arguments,
        [*files, *sorted(audio)],
        parts,
        lambda said: read_utterance(said, data_folder, text, letter_case),
        max_bad_fraction,
    )
