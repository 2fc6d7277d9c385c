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
from speechbrain_ligru_fast.asr.experiment import run
from speechbrain_ligru_fast.asr.preparation import prepare_words
from speechbrain_ligru_fast.asr.tokenizer import (
    check_tokenizer_file,
    prepare_tokenizer,
)

if __name__ == "__main__":
    hparams, run_opts = load_experiment()
    check_tokenizer_file(hparams)
    tests = prepare_words(hparams)
    if not hparams["tests_only"]:
        run_on_main(prepare_tokenizer, args=(hparams,))
    hparams["tokenizer"].Load(hparams["tokenizer_file"])
    run(hparams, run_opts, tests)
