#!/usr/bin/env python3
"""Recipe for training a CTC + attention phone recogniser on TIMIT.

Or on a corpus in its layout: name its development and test speakers.

Example
-------
> python train.py hparams/ligru_fast.yaml --data_folder TIMIT
"""

from speechbrain_ligru_fast.asr.config import load_experiment
from speechbrain_ligru_fast.asr.experiment import run
from speechbrain_ligru_fast.asr.preparation import prepare_phones

if __name__ == "__main__":
    hparams, run_opts = load_experiment()
    run(hparams, run_opts, prepare_phones(hparams))
