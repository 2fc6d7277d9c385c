"""Settings that do not fit are refused before any work."""

import os

import pytest
from speechbrain.utils.train_logger import FileTrainLogger

from speechbrain_ligru_fast.asr.preflight import check_before
from speechbrain_ligru_fast.recognition.tokenizer import LabelTokenizer

FIT = {
    "tokenizer": LabelTokenizer(["aa", "b"]),
    "output_neurons": 5,
    **{"blank_index": 0, "bos_index": 1, "eos_index": 2},
    "metric": "WER",
    "number_of_epochs": 3,
    "number_of_ctc_only_epochs": 0,
    "lm_folder": None,
    "tokenizer_file": None,
    "results_csv": "results.csv",
    "train_logger": FileTrainLogger(os.devnull),
    "trains_in_folder": False,
}


@pytest.mark.parametrize(
    "change, words",
    [
        ({"output_neurons": 9}, "output_neurons=9, but the tokenizer has"),
        ({"bos_index": 4}, r"bos_index=4 is none of .* ids \[0, 1, 2\]"),
        ({"blank_index": 3}, "blank_index=3 is none of the tokenizer's sp"),
        (
            {"number_of_ctc_only_epochs": 3},
            "number_of_ctc_only_epochs=3 leaves no epoch",
        ),
        ({"lm_folder": "lm/none"}, "lm_folder='lm/none' names no language"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change, words):
    check_before(FIT)
    with pytest.raises(ValueError, match=words):
        check_before(FIT | change)
