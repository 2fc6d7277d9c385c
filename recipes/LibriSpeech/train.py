#!/usr/bin/env python3
"""Recipe for training a CTC + attention recogniser on LibriSpeech.

Or on a corpus in its layout: name its splits. Or on any other, see
docs/guides/own_corpus.md. The tokenizer is trained on the training transcripts;
nothing is downloaded.

Example
-------
> python train.py hparams/ligru_fast.yaml --data_folder LibriSpeech
"""

from speechbrain.utils.distributed import run_on_main

from speechbrain_ligru_fast.asr.config import load_experiment
from speechbrain_ligru_fast.asr.corpora.own import (
    claim_annotations,
    prepare_corpus,
    test_manifests,
)
from speechbrain_ligru_fast.asr.experiment import run
from speechbrain_ligru_fast.asr.preparation import manifest_folder, prepare
from speechbrain_ligru_fast.asr.tokenizer import (
    check_tokenizer_file,
    prepare_tokenizer,
)

if __name__ == "__main__":
    hparams, run_opts = load_experiment()
    check_tokenizer_file(hparams)
    folder, tests_only = manifest_folder(hparams), hparams["tests_only"]
    annotations = claim_annotations(hparams)
    tests = test_manifests(hparams, folder)
    prepare(
        hparams,
        prepare_corpus,
        {
            "annotations": annotations,
            "data_folder": hparams["data_folder"],
            "save_folder": folder,
            # A test needs no more than what is tested.
            "train_splits": [] if tests_only else hparams["train_splits"],
            "dev_splits": [] if tests_only else hparams["dev_splits"],
            "test_splits": hparams["test_splits"],
            "text": hparams["text"],
            "letter_case": hparams["letter_case"],
            "max_bad_fraction": hparams["max_bad_fraction"],
            "skip_prep": hparams["skip_prep"],
        },
        tests=list(tests),
    )
    if not tests_only:
        run_on_main(prepare_tokenizer, args=(hparams,))
    hparams["tokenizer"].Load(hparams["tokenizer_file"])
    run(hparams, run_opts, tests)
