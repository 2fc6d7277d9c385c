"""What a step of a full-size system takes, and an epoch of it."""

import csv

from tiny_systems import tiny

from benchmarks import scaling
from benchmarks.recipe_tables import epoch_hours


def test_a_measured_step_and_its_computed_epoch(tmp_path):
    path = tmp_path / "scaling.csv"
    yaml = str(tiny("tiny_librispeech.yaml"))
    options = ["--frames", "600", "--steps", "1", "--warm_up", "1"]
    options += ["--backend", "torchscript", "--results", str(path)]
    assert scaling.main([yaml, *options]) == 0
    (row,) = csv.DictReader(path.open())
    assert row["rnn"] == "SLiGRU" and float(row["step_s"]) > 0
    assert row["batch_audio_s"] == "6.0" and int(row["peak_mb"]) > 100
    # 960 h in batches of 6 s are 576000 steps, 72000 on each of 8.
    measured = {"batch_audio_s": 6.0, "step_s": 0.5}
    assert epoch_hours(measured, speech_hours=960, devices=8) == 10
