"""A checkpoint is complete or not there, and is gone on with exactly."""

import os
import pickle
import random
import re

import numpy
import pytest
import torch
from speechbrain.nnet.schedulers import InverseSquareRootScheduler
from speechbrain.utils.checkpoints import ckpt_recency
from tiny_recipes import Interrupted, last_epoch, rows

from speechbrain_ligru_fast.asr import config, experiment
from speechbrain_ligru_fast.asr.brain import ASR
from speechbrain_ligru_fast.asr.checkpoints import (
    AtomicCheckpointer,
    Randomness,
)


def make(folder, units=2):
    model = torch.nn.Linear(units, 1)
    return model, AtomicCheckpointer(folder, {"model": model, "b": model})


def test_what_could_not_be_gone_on_with_is_refused_at_once(tmp_path):
    one_way = InverseSquareRootScheduler(1000)
    with pytest.raises(ValueError, match="schedule is a Inv.* how to load"):
        AtomicCheckpointer(tmp_path, {"schedule": one_way})
    with pytest.raises(ValueError, match="a is a object, .* how to save"):
        AtomicCheckpointer(tmp_path, {"a": object()})
    hooks = {"schedule": lambda *given, **named: None}
    AtomicCheckpointer(tmp_path, {"schedule": one_way}, hooks)


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("PyTorch")]
)
def test_full_disk_leaves_the_best_loadable(tmp_path, monkeypatch, error):
    model, checkpointer = make(tmp_path)
    checkpointer.save_and_keep_only(meta={"WER": 5.0}, min_keys=["WER"])
    best = model.weight.clone()
    before = checkpointer.list_checkpoints()

    def fail(obj, path):
        path.write_bytes(b"half")
        raise error

    # The first file is written, the second is not.
    checkpointer.custom_save_hooks["b"] = fail
    model.weight.data += 1
    with pytest.raises(OSError, match=re.escape(before[0].path.name)) as caught:
        checkpointer.save_and_keep_only(meta={"WER": 4.0}, min_keys=["WER"])
    assert str(error) in str(caught.value)

    resumed, again = make(tmp_path)
    assert again.recover_if_possible(min_key="WER").meta["WER"] == 5.0
    assert torch.equal(resumed.weight, best)
    # The next one that succeeds removes what was left.
    again.save_checkpoint()
    assert not list(tmp_path.glob("unfinished-*"))
    assert len(again.list_checkpoints()) == 2


def test_name_and_files_of_the_result(tmp_path):
    _, checkpointer = make(tmp_path)
    saved = checkpointer.save_checkpoint(name="here")
    assert saved.path == tmp_path / "CKPT+here"
    assert all(path.is_file() for path in saved.paramfiles.values())


def test_another_architecture(tmp_path):
    make(tmp_path)[1].save_checkpoint()
    with pytest.raises(ValueError, match="does not fit this model"):
        make(tmp_path, units=3)[1].recover_if_possible()


def test_nothing_to_save_is_left_out(tmp_path):
    model = torch.nn.Linear(2, 1)
    checkpointer = AtomicCheckpointer(
        tmp_path, {"model": model, "lr_annealing": None}
    )
    saved = checkpointer.save_checkpoint()
    assert set(saved.paramfiles) == {"model"}


def test_what_chooses_checkpoints_does_not_grow(tmp_path, monkeypatch):
    """SpeechBrain's default is one list for all, longer with each save."""
    _, checkpointer = make(tmp_path)
    chosen = []
    monkeypatch.setattr(
        checkpointer, "delete_checkpoints", lambda **how: chosen.append(how)
    )
    for _ in range(2):
        checkpointer.save_and_keep_only()
    assert [how["importance_keys"] for how in chosen] == [[ckpt_recency]] * 2


EPOCHS, STEPS = 3, 3  # 6 utterances in batches of 2


@pytest.fixture
def go_on(train, tmp_path):
    """Trains, or goes on; dropout and augmentation are on."""

    def run(name, *arguments):
        steps = ["--number_of_epochs", EPOCHS, "--batch_size", "2"]
        steps += ["--ckpt_interval_steps", "1"]
        train("TIMIT", tmp_path / name, *steps, *arguments)
        state = torch.load(tmp_path / name / "export" / "enc.ckpt")
        return last_epoch(tmp_path / name), state

    return run


def interrupt(monkeypatch, go_on, name, method, when):
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
            go_on(name)


def equal(a, b):
    (log_a, state_a), (log_b, state_b) = a, b
    same = [torch.equal(state_a[name], state_b[name]) for name in state_b]
    return log_a == log_b and all(same)


def test_where_a_training_is_interrupted_makes_no_difference(
    monkeypatch, go_on
):
    whole = go_on("whole")
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
        interrupt(monkeypatch, go_on, "broken", method, when)
    assert equal(go_on("broken"), whole)
    # It would, were the random numbers others.
    interrupt(monkeypatch, go_on, "other", "fit_batch", 3)
    with monkeypatch.context() as patch:
        patch.setattr(Randomness, "resume", lambda self: None)
        assert not equal(go_on("other"), whole)


def test_a_row_tells_of_the_whole_training(monkeypatch, go_on, tmp_path):
    folder = tmp_path / "broken"

    def process(commit, peak_mb):
        monkeypatch.setattr(config, "describe_commit", lambda: commit)
        monkeypatch.setattr(ASR, "peak_mb", lambda self: peak_mb)

    def stop(*args):
        raise Interrupted

    process("aaaaaaa", 3000.0)
    interrupt(monkeypatch, go_on, "broken", "fit_batch", STEPS + 1)
    process("bbbbbbb", 1000.0)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(experiment, "export", stop)
        go_on("broken")
    # With a row the run would count as done.
    assert not (folder / "results.csv").exists()
    go_on("broken")
    (row,) = rows(folder)
    assert (row["commit"], row["peak_mb"]) == ("aaaaaaa..bbbbbbb", "3000.0")
    log = (folder / "train_log.txt").read_text()
    elapsed = [float(x) for x in re.findall(r"elapsed s: (\S+)", log)]
    assert len(elapsed) == EPOCHS and elapsed == sorted(elapsed)
    # A test alone measures no training.
    go_on("broken", "--test_only")
    row = rows(folder)[1]
    assert row["peak_mb"] == "" and float(row["epoch_s"]) > 0
    # On another machine, say, not even of an epoch.
    monkeypatch.setattr(ASR, "place", lambda self: "elsewhere")
    go_on("broken", "--test_only")
    assert rows(folder)[2]["epoch_s"] == ""


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


class Code:
    """Calls a function when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("called",)


def test_loading_a_state_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save([{"torch": torch.get_rng_state(), "python": Code()}], "state")
    with pytest.raises(pickle.UnpicklingError, match="mkdir"):
        Randomness().load("state", end_of_epoch=True)
    assert not (tmp_path / "called").exists()
