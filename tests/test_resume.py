"""Where a training is interrupted makes no difference to its end.

test_recipes.py kills one for good; `python -m benchmarks.kills` ten times.
"""

import json
import os
import pickle
import random
import re

import numpy
import pytest
import torch

from benchmarks import curves
from speechbrain_ligru_fast.asr import config, experiment
from speechbrain_ligru_fast.asr.brain import ASR
from speechbrain_ligru_fast.asr.randomness import Randomness
from speechbrain_ligru_fast.asr.results import read_rows

EPOCHS, STEPS = 3, 3  # 6 utterances in batches of 2


class Interrupted(BaseException):
    """Stands for a kill: nothing but the test catches it."""


@pytest.fixture
def train(recipe, timit, tmp_path):
    """Trains, or goes on; dropout and augmentation are on."""

    def run(name, *arguments):
        folder = tmp_path / name
        recipe(
            "TIMIT/train.py",
            "tiny_timit.yaml",
            *["--data_folder", timit, "--output_folder", folder],
            *["--device", "cpu", "--noprogressbar", "--backend", "torchscript"],
            *["--number_of_epochs", EPOCHS, "--batch_size", "2"],
            *["--ckpt_interval_steps", "1"],
            *arguments,
        )
        log = (folder / "train_log.txt").read_text()
        last = re.findall("^epoch.*", log, re.MULTILINE)[-1]
        state = torch.load(folder / "export" / "enc.ckpt")
        return re.sub(r"(train|elapsed) s: \S+", "", last), state

    return run


def interrupt(monkeypatch, train, name, method, when):
    """Trains until the `when`th call of a method of ASR."""
    calls, genuine = [], getattr(ASR, method)

    def counted(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == when:
            raise Interrupted
        return genuine(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ASR, method, counted)
        with pytest.raises(Interrupted):
            train(name)


def equal(a, b):
    (log_a, state_a), (log_b, state_b) = a, b
    same = [torch.equal(state_a[name], state_b[name]) for name in state_b]
    return log_a == log_b and all(same)


def test_interrupted_everywhere(monkeypatch, train):
    whole = train("whole")
    # Before a first checkpoint, within the epoch, after its last step, when
    # its validation is over but not saved, and within the next one.
    for method, when in (
        ("fit_batch", 1),
        ("fit_batch", 3),
        ("evaluate_batch", 1),
        ("on_stage_end", 2),
        ("fit_batch", 2),
        ("fit_batch", STEPS + 1),
    ):
        interrupt(monkeypatch, train, "broken", method, when)
    assert equal(train("broken"), whole)


def test_no_row_before_the_export(monkeypatch, train, tmp_path):
    def stop(*args):
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(experiment, "export", stop)
        with pytest.raises(Interrupted):
            train("broken")
    # With a row the run would count as done.
    assert not (tmp_path / "broken" / "results.csv").exists()
    train("broken")
    assert (tmp_path / "broken" / "results.csv").exists()


def rows(folder):
    return read_rows(folder / "results.csv")[1]


@pytest.mark.parametrize("older", [False, True])
def test_a_row_tells_of_the_whole_training(monkeypatch, train, tmp_path, older):
    def process(commit, peak_mb):
        monkeypatch.setattr(config, "describe_commit", lambda: commit)
        monkeypatch.setattr(ASR, "peak_mb", lambda self: peak_mb)

    folder = tmp_path / "broken"
    process("aaaaaaa", 3000.0)
    interrupt(monkeypatch, train, "broken", "fit_batch", STEPS + 1)
    if older:  # a checkpoint as it was written before
        for path in (folder / "save").glob("CKPT*/timer.ckpt"):
            path.write_text(json.dumps(json.loads(path.read_text())["seconds"]))
    process("bbbbbbb", 1000.0)
    train("broken")
    (row,) = rows(folder)
    begin, peak_mb = ("unknown", "1000.0") if older else ("aaaaaaa", "3000.0")
    assert (row["commit"], row["peak_mb"]) == (f"{begin}..bbbbbbb", peak_mb)
    log = curves.read_log(folder / "train_log.txt")
    if older:
        assert log["elapsed s"].notna().tolist() == [True, False, False]
    else:
        assert log["elapsed s"].is_monotonic_increasing
        assert log["minutes"].equals(log["elapsed s"] / 60)
    # A test alone measures no training.
    train("broken", "--test_only")
    assert rows(folder)[1]["peak_mb"] == ""
    assert float(rows(folder)[1]["epoch_s"]) > 0
    # On another machine, say, not even of an epoch.
    monkeypatch.setattr(ASR, "place", lambda self: "elsewhere")
    train("broken", "--test_only")
    assert rows(folder)[2]["epoch_s"] == ""


def test_the_test_sees_other_random_numbers(monkeypatch, train):
    whole = train("whole")
    interrupt(monkeypatch, train, "broken", "fit_batch", 3)
    with monkeypatch.context() as patch:
        patch.setattr(Randomness, "resume", lambda self: None)
        assert not equal(train("broken"), whole)


def test_other_processes_draw_other_numbers(monkeypatch, tmp_path):
    randomness, path = Randomness(), tmp_path / "state"
    randomness.save(path)
    drawn = []
    for rank in ("0", "1", "2"):
        monkeypatch.setenv("RANK", rank)
        randomness.load(path, end_of_epoch=True)
        drawn.append(float(torch.rand(())))
    assert len(set(drawn)) == 3


def draw():
    return float(torch.rand(())), random.random(), numpy.random.rand()


def test_what_is_saved_is_numbers_alone(tmp_path):
    path = tmp_path / "state"
    Randomness().save(path)
    drawn = draw()
    torch.load(path, weights_only=True)
    Randomness().load(path, end_of_epoch=True)
    assert draw() == drawn


def test_an_older_state_is_read(tmp_path):
    path = tmp_path / "state"
    state = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": numpy.random.get_state(),
    }
    torch.save(state, path)
    drawn = draw()
    Randomness().load(path, end_of_epoch=True)
    assert draw() == drawn


class Code:
    """Calls a function when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("called",)


def test_loading_a_state_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"torch": torch.get_rng_state(), "python": Code()}, "state")
    with pytest.raises(pickle.UnpicklingError, match="mkdir"):
        Randomness().load("state", end_of_epoch=True)
    assert not (tmp_path / "called").exists()
