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
from speechbrain_ligru_fast.asr.preparation import (
    prepare_phones,
    prepare_words,
)
from speechbrain_ligru_fast.hybrid.experiment import run
from speechbrain_ligru_fast.hybrid.system import load_lexicon

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
