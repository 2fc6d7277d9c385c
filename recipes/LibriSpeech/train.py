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
from speechbrain_ligru_fast.asr.tokenizer import prepare_tokenizer

if __name__ == "__main__":
    hparams, run_opts = load_experiment()
    run_on_main(
        prepare_librispeech,
        kwargs={
            "data_folder": hparams["data_folder"],
            "save_folder": hparams["save_folder"],
            "train_splits": hparams["train_splits"],
            "dev_splits": hparams["dev_splits"],
            "test_splits": hparams["test_splits"],
            "max_bad_fraction": hparams["max_bad_fraction"],
            "skip_prep": hparams["skip_prep"],
        },
    )
    run_on_main(prepare_tokenizer, args=(hparams,))
    hparams["tokenizer"].Load(hparams["tokenizer_file"])
    manifests = {
        split: f"{hparams['save_folder']}/{split}.json"
        for split in as_list(hparams["test_splits"])
    }
    run(hparams, run_opts, manifests)
