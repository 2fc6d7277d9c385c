#!/usr/bin/env python3
"""Prepare LibriSpeech, or a corpus in its layout.

Example
-------
python librispeech_prepare.py --data_folder LibriSpeech \
    --save_folder prepared --train_splits train-clean-100 \
    --dev_splits dev-clean --test_splits test-clean,test-other
"""

import argparse
import logging

from speechbrain_ligru_fast.asr.corpora.librispeech import prepare_librispeech

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_folder", required=True)
    parser.add_argument("--save_folder", required=True)
    for option in ("--train_splits", "--dev_splits", "--test_splits"):
        parser.add_argument(
            option, default=argparse.SUPPRESS, help="comma-separated"
        )
    parser.add_argument("--max_bad_fraction", type=float, default=0.05)
    prepare_librispeech(**vars(parser.parse_args()))
