#!/usr/bin/env python3
"""Prepare TIMIT, or a corpus in its layout.

Example
-------
python timit_prepare.py --data_folder TIMIT --save_folder prepared
"""

import argparse
import logging
from pathlib import Path

from speechbrain_ligru_fast.asr.corpora.timit import prepare_timit
from speechbrain_ligru_fast.recognition.phones import PHN_SETS

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_folder", required=True)
    parser.add_argument("--save_folder", required=True, type=Path)
    parser.add_argument("--phn_set", type=int, choices=PHN_SETS, default=39)
    parser.add_argument("--dev_speakers", help="comma-separated")
    parser.add_argument("--test_speakers", help="comma-separated")
    parser.add_argument("--max_bad_fraction", type=float, default=0.05)
    options = vars(parser.parse_args())
    folder = options.pop("save_folder")
    prepare_timit(
        train_annotation=folder / "train.json",
        valid_annotation=folder / "valid.json",
        test_annotation=folder / "test.json",
        **options,
    )
