"""A corpus in LibriSpeech's layout, annotations of one's own, or both."""

from pathlib import Path

from speechbrain_ligru_fast.asr.text import normalize_text

from .annotations import read_annotation
from .librispeech import find_parts
from .manifest import Part, write_manifests


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
    tests = annotations.keys() - {"train", "valid"}
    # First what is quickly found to be wrong
    parts = []
    for name, path in annotations.items():
        said = read_annotation(path, text)
        for key, one in said.items():
            if one.text:
                words = normalize_text(one.text, letter_case)
                said[key] = one._replace(text=words)
        manifest = Path(save_folder, f"{name}.json")
        parts.append(Part(manifest, f"{name} ({path})", said, name in tests))
    parts += find_parts(
        data_folder,
        save_folder,
        [] if "train" in annotations else train_splits,
        [] if "valid" in annotations else dev_splits,
        [] if tests else test_splits,
        letter_case,
    )
    write_manifests(parts, data_folder, max_bad_fraction, text)
