#!/usr/bin/env python3
"""Recipe for training a DNN-HMM hybrid recogniser.

On AN4, or a corpus in LibriSpeech's layout with a lexicon; on TIMIT, or a
corpus in its layout, with phones for words. Nothing is downloaded.

Example
-------
> python train.py hparams/an4_hybrid_ligru.yaml --data_folder an4
> python train.py hparams/timit_hybrid_ligru.yaml --data_folder TIMIT
"""

from speechbrain_ligru_fast.asr.config import load_experiment
from speechbrain_ligru_fast.asr.corpora.own import prepare_corpus
from speechbrain_ligru_fast.asr.corpora.timit import prepare_timit
from speechbrain_ligru_fast.asr.preparation import (
    claim_annotations,
    manifest_folder,
    manifest_path,
    prepare,
    test_manifests,
)
from speechbrain_ligru_fast.hybrid.experiment import run
from speechbrain_ligru_fast.hybrid.system import load_lexicon


def prepare_words(hparams):
    """LibriSpeech's layout, or annotations; the test sets' manifests."""
    folder, tests_only = manifest_folder(hparams), hparams["tests_only"]
    annotations = claim_annotations(hparams)
    tests = test_manifests(hparams, folder)
    arguments = {
        "annotations": annotations,
        "save_folder": folder,
        # A test needs no more than what is tested.
        "train_splits": [] if tests_only else hparams["train_splits"],
        "dev_splits": [] if tests_only else hparams["dev_splits"],
    }
    for key in "data_folder test_splits text letter_case".split():
        arguments[key] = hparams[key]
    for key in ("max_bad_fraction", "skip_prep"):
        arguments[key] = hparams[key]
    prepare(hparams, prepare_corpus, arguments, tests=list(tests))
    return tests


def prepare_phones(hparams):
    """TIMIT's layout; the test set's manifest."""
    arguments = {
        name: manifest_path(hparams, hparams[name])
        for name in ("train_annotation", "valid_annotation", "test_annotation")
    }
    tests = {"test": arguments["test_annotation"]}
    for key in "data_folder uppercase phn_set dev_speakers".split():
        arguments[key] = hparams[key]
    for key in ("test_speakers", "max_bad_fraction", "skip_prep"):
        arguments[key] = hparams[key]
    prepare(hparams, prepare_timit, arguments, tests=["test"])
    return tests


LAYOUTS = {"librispeech": prepare_words, "timit": prepare_phones}

if __name__ == "__main__":
    hparams, run_opts = load_experiment()
    if hparams["layout"] not in LAYOUTS:
        raise ValueError(
            f"layout must be one of {', '.join(LAYOUTS)}, got "
            f"{hparams['layout']!r}"
        )
    lexicon = load_lexicon(hparams)
    tests = LAYOUTS[hparams["layout"]](hparams)
    run(hparams, run_opts, lexicon, tests)
