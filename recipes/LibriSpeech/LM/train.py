#!/usr/bin/env python3
"""Recipe for training an RNN language model on a recogniser's transcripts.

Example
-------
> ASR=results/librispeech/ligru_fast/2602
> (cd LM && python train.py hparams/lm.yaml --asr_folder ../$ASR)
> python train.py hparams/ligru_fast.yaml --data_folder LibriSpeech \
    --test_only --lm_folder LM/results/lm/2223
"""

from speechbrain_ligru_fast.asr.config import load_experiment
from speechbrain_ligru_fast.asr.lm import train_lm

if __name__ == "__main__":
    train_lm(*load_experiment())
