"""A corpus in LibriSpeech's layout, annotations of one's own, or both."""

import re
from pathlib import Path

from speechbrain_ligru_fast.asr.text import normalize_text

from .annotations import read_annotation
from .librispeech import find_parts
from .manifest import Part, as_list, write_manifests

_TRAINING = ("train", "valid")


def claim_annotations(hparams):
    """Take the user's annotations out of an experiment's settings.

    Those that are not in save_folder are the user's: what they say is checked
    and becomes a manifest in there, which is then the setting. With skip_prep
    they are manifests already. Returned are the annotations of ``train``,
    ``valid`` and the test sets.
    """
    tests = hparams["test_annotations"]
    for name in tests if isinstance(tests, dict) else [""]:
        if name in _TRAINING or not re.fullmatch(r"\w[\w.-]*", str(name)):
            raise ValueError(
                f"test_annotations: got {tests!r}, expected names of sets, "
                "which name files, too (letters, digits, '.', '-', '_'; not "
                "train or valid), and files, such as {test: data/test}"
            )
    own = {}
    if not hparams["skip_prep"]:
        folder = Path(hparams["save_folder"]).resolve()
        for name in _TRAINING:
            key = f"{name}_annotation"
            if not Path(hparams[key]).resolve().is_relative_to(folder):
                if not hparams["tests_only"]:
                    own[name] = hparams[key]
                hparams[key] = f"{hparams['save_folder']}/{name}.json"
        own |= {str(name): path for name, path in tests.items()}
    return own


def test_manifests(hparams, folder):
    """The manifests, in `folder`, of test_annotations, else of test_splits."""
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
    """As prepare_librispeech; what has an annotation has no splits.

    `annotations` are of ``train``, ``valid`` and test sets, see
    read_annotation. In them, relative paths are relative to `data_folder`;
    `text` is the key of the transcript.
    """
    if skip_prep:
        return
    tests = annotations.keys() - set(_TRAINING)
    # First what is quickly found to be wrong
    parts = [
        Part(
            path=Path(save_folder, f"{name}.json"),
            name=f"{name} ({path})",
            utterances={
                key: said._replace(
                    text=said.text and normalize_text(said.text, letter_case)
                )
                for key, said in read_annotation(path, text).items()
            },
            tested=name in tests,
        )
        for name, path in annotations.items()
    ]
    parts += find_parts(
        data_folder,
        save_folder,
        [] if "train" in annotations else train_splits,
        [] if "valid" in annotations else dev_splits,
        [] if tests else test_splits,
        letter_case,
    )
    write_manifests(parts, data_folder, max_bad_fraction, text)
