#!/usr/bin/env python3
"""Recipe for training a CTC + attention phone recogniser on TIMIT.

Or on a corpus in its layout: name its development and test speakers.

Example
-------
> python train.py hparams/ligru_fast.yaml --data_folder TIMIT
"""

from speechbrain_ligru_fast.asr.config import load_experiment
from speechbrain_ligru_fast.asr.corpora.timit import prepare_timit
from speechbrain_ligru_fast.asr.experiment import run
from speechbrain_ligru_fast.asr.preparation import manifest_path, prepare

if __name__ == "__main__":
    hparams, run_opts = load_experiment()
    annotations = {
        name: manifest_path(hparams, hparams[name])
        for name in ("train_annotation", "valid_annotation", "test_annotation")
    }
    prepare(
        hparams,
        prepare_timit,
        {
            **annotations,
            "data_folder": hparams["data_folder"],
            "uppercase": hparams["uppercase"],
            "phn_set": hparams["phn_set"],
            "dev_speakers": hparams["dev_speakers"],
            "test_speakers": hparams["test_speakers"],
            "max_bad_fraction": hparams["max_bad_fraction"],
            "skip_prep": hparams["skip_prep"],
        },
        tests=["test"],
    )
    run(hparams, run_opts, {"test": annotations["test_annotation"]})
