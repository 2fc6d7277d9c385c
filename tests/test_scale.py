"""Several processes, accumulated gradients, bf16: the same training."""

import contextlib
import csv
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import scaling
from benchmarks.recipe_tables import epoch_hours

ROOT = Path(__file__).parent.parent
YAML = ROOT / "tests" / "hparams" / "even_timit.yaml"
QUIET = ["--device", "cpu", "--noprogressbar", "--backend", "torchscript"]


def weights(folder):
    """The weights of the best checkpoint, as one vector."""
    (path,) = (folder / "save").glob("CKPT*/model.ckpt")
    return torch.cat([v.flatten() for v in torch.load(path).values()])


def distance(a, b):
    return float((a - b).norm() / b.norm())


def row_of(folder):
    with open(folder / "results.csv", newline="") as file:
        return list(csv.DictReader(file))[-1]


@pytest.fixture
def trained(recipe, timit, tmp_path):
    """Weights after training in one process, the same each time."""

    def train(name, *arguments):
        folder = tmp_path / name
        recipe(
            "TIMIT/train.py",
            YAML,
            *["--data_folder", timit, "--output_folder", folder],
            *[*QUIET, *arguments],
        )
        return weights(folder)

    return train


def torchrun(timit, folder, *arguments):
    """Two processes on this machine."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node=2", "train.py", YAML, *QUIET]
    command += ["--data_folder", timit, "--output_folder", folder]
    command += ["--distributed_backend", "gloo", *arguments]
    log = folder.with_suffix(".txt")
    with open(log, "w") as file:
        process = subprocess.Popen(
            [*map(str, command)],
            cwd=ROOT / "recipes" / "TIMIT",
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        assert process.wait(timeout=180) == 0, log.read_text()
    finally:
        # The workers too, if they wait for each other.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_two_processes_equal_one_on_the_doubled_batch(trained, timit, tmp_path):
    begin = trained("begin", "--batch_size", "2", "--number_of_epochs", "1")
    want = trained("one", "--batch_size", "2", "--number_of_epochs", "3")
    folder = tmp_path / "two"
    # The second call resumes.
    for epochs in ("1", "3"):
        torchrun(
            timit,
            folder,
            *["--batch_size", "1", "--number_of_epochs", epochs],
        )
    moved, apart = distance(begin, want), distance(weights(folder), want)
    assert apart < 1e-5 < 100 * 1e-5 < moved
    log = (folder / "train_log.txt").read_text()
    epochs = re.findall(r"^epoch: (\d+)", log, re.MULTILINE)
    assert epochs == ["1", "2", "3"]
    assert row_of(folder)["epochs"] == "3"


def test_accumulated_gradients_equal_the_larger_batch(trained):
    epochs = ["--number_of_epochs", "2"]
    want = trained("one", "--batch_size", "2", *epochs)
    alone = trained("alone", "--batch_size", "1", *epochs)
    summed = ["--grad_accumulation_factor", "2"]
    got = trained("sum", "--batch_size", "1", *summed, *epochs)
    assert distance(got, want) < 1e-5 < distance(alone, want)


def test_bf16(trained, tmp_path):
    epochs = ["--number_of_epochs", "2"]
    want = trained("fp32", *epochs)
    begin = trained("begin", "--number_of_epochs", "1")
    got = trained("bf16", *epochs, "--precision", "bf16")
    assert row_of(tmp_path / "bf16")["precision"] == "bf16"
    # Weights stay float32 and go the same way.
    assert got.dtype == torch.float32
    assert 0 < distance(got, want) < 0.5 * distance(begin, want)


def test_a_measured_step_and_its_computed_epoch(tmp_path):
    path = tmp_path / "scaling.csv"
    yaml = str(YAML.with_name("tiny_librispeech.yaml"))
    options = ["--frames", "600", "--steps", "1", "--warm_up", "1"]
    options += ["--backend", "torchscript", "--results", str(path)]
    assert scaling.main([yaml, *options]) == 0
    (row,) = csv.DictReader(path.open())
    assert row["rnn"] == "SLiGRU" and float(row["step_s"]) > 0
    assert row["batch_audio_s"] == "6.0" and int(row["peak_mb"]) > 100
    # 960 h in batches of 6 s are 576000 steps, 72000 on each of 8.
    measured = {"batch_audio_s": 6.0, "step_s": 0.5}
    assert epoch_hours(measured, speech_hours=960, devices=8) == 10
