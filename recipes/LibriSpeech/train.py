#!/usr/bin/env python3
"""Recipe for training a CTC + attention recogniser on LibriSpeech.

Or on a corpus in its layout: name its splits. The tokenizer is trained on
the training transcripts; nothing is downloaded.

Example
-------
> python train.py hparams/ligru_fast.yaml --data_folder LibriSpeech
"""

from speechbrain.utils.distributed import run_on_main

from speechbrain_ligru_fast.asr.config import load_experiment
from speechbrain_ligru_fast.asr.corpora.librispeech import prepare_librispeech
from speechbrain_ligru_fast.asr.corpora.manifest import as_list
from speechbrain_ligru_fast.asr.experiment import run
from speechbrain_ligru_fast.asr.preparation import manifest_folder, prepare
from speechbrain_ligru_fast.asr.tokenizer import prepare_tokenizer

if __name__ == "__main__":
    hparams, run_opts = load_experiment()
    splits = as_list(hparams["test_splits"])
    folder, tests_only = manifest_folder(hparams), hparams["tests_only"]
    prepare(
        hparams,
        prepare_librispeech,
        {
            "data_folder": hparams["data_folder"],
            "save_folder": folder,
            # A test needs no more than what is tested.
            "train_splits": [] if tests_only else hparams["train_splits"],
            "dev_splits": [] if tests_only else hparams["dev_splits"],
            "test_splits": splits,
            "max_bad_fraction": hparams["max_bad_fraction"],
            "skip_prep": hparams["skip_prep"],
        },
        tests=splits,
    )
    if not tests_only:
        run_on_main(prepare_tokenizer, args=(hparams,))
    hparams["tokenizer"].Load(hparams["tokenizer_file"])
    manifests = {split: f"{folder}/{split}.json" for split in splits}
    run(hparams, run_opts, manifests)
