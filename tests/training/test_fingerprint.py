"""Which runs are one training, and which are repetitions of one experiment."""

import json
import re

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from tiny_systems import tiny

from speechbrain_ligru_fast.asr.checkpoints import AtomicCheckpointer
from speechbrain_ligru_fast.asr.config import changed, parse
from speechbrain_ligru_fast.training.fingerprint import (
    Fingerprint,
    name_settings,
    read_settings,
)

YAML = str(tiny("tiny_timit.yaml"))


def settings_of(*arguments):
    _, document, run_opts, overrides = parse(
        [YAML, "--data_folder", "a", *arguments]
    )
    return read_settings(changed(document, overrides), run_opts)


HERE = name_settings(settings_of("--output_folder", "b"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seed", "7"],
        ["--output_folder", "there", "--results_csv", "c.csv"],
        ["--device", "cpu", "--noprogressbar"],
        ["--lm_folder", "x"],
        ["--sync_batch_norm", "False"],  # of one process
        ["--batch_size", "4"],  # as in the file
        ["--train_annotation", "elsewhere/train"],  # its content counts
    ],
    ids=" ".join,
)
def test_same_settings(arguments):
    assert name_settings(settings_of(*arguments)) == HERE


@pytest.mark.parametrize(
    "arguments",
    [
        ["--batch_size", "5"],
        ["--rnn_class=!name:speechbrain.nnet.RNN.LSTM"],
        ["--backend", "reference"],
        ["--jit"],
        ["--precision", "bf16"],
        ["--grad_accumulation_factor", "2"],
        ["--eval_precision", "bf16"],
        ["--skip_nonfinite_grads"],
    ],
    ids=" ".join,
)
def test_other_settings(arguments):
    one, other = settings_of(*arguments), settings_of()
    assert name_settings(one) != HERE
    differs = {n for n in {*one, *other} if one.get(n) != other.get(n)}
    name = arguments[0].partition("=")[0]
    assert differs <= {name, name[2:]} and len(differs) == 1


def test_the_same_after_loading_yaml():
    load_hyperpyyaml("a: (1, 2)")
    assert name_settings(settings_of()) == HERE


def test_more_processes_are_other_settings(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    several = name_settings(settings_of())
    apart = name_settings(settings_of("--sync_batch_norm", "False"))
    assert len({HERE, several, apart}) == 3


BEGUN = {"lr": "1", "batch_size": "8", "beam_size": "4", "lm_folder": "none"}
BEGUN |= {"number_of_epochs": "9"}
DATA = {"train_manifest": "a", "valid_manifest": "b"}


def save(folder, fingerprint):
    """A checkpoint at the end of an epoch."""
    AtomicCheckpointer(folder, {"fingerprint": fingerprint}).save_checkpoint()


@pytest.fixture
def begun(tmp_path):
    """A folder with a checkpoint."""
    save(tmp_path, Fingerprint(BEGUN | DATA, "first"))
    return tmp_path


def again(folder, changes, **how):
    found = Fingerprint(BEGUN | changes, "second")
    found.compare(folder, **how)
    return found


@pytest.mark.parametrize(
    "changes, how, words",
    [
        ({"lr": "2"}, {}, r"other lr\. Give another .*\(lr: 1 to 2\)"),
        ({"--jit": "True", "lr": "2"}, {}, r"tell \(lr: 1 to 2\)"),
        ({"--max_grad_norm": "1"}, {}, r"\(--max_grad_norm: none to 1\)"),
        ({"lm_folder": "lm"}, {}, r"\(lm_folder: none to lm\)"),
        ({"beam_size": "5", "lr": "2"}, {}, "other beam_size, lr. Give"),
        (DATA | {"train_manifest": "c"}, {}, r"\(train_manifest: a to c\)"),
        (DATA | {"valid_manifest": "c"}, {}, r"\(valid_manifest: b to c\)"),
        ({"number_of_epochs": "8"}, {"longer": False}, "other number_of_ep"),
        ({"lr": "2"}, {"testing": True}, r"Give those .*\(lr: 1 to 2\)"),
        ({"lr": "x" * 99}, {}, r"\(lr: 1 to another\)"),
    ],
)
def test_another_training_is_refused(begun, changes, how, words):
    with pytest.raises(ValueError, match=words):
        again(begun, changes, **how)
    assert "to" in again(begun, changes, **how, allow=True).changes


@pytest.mark.parametrize(
    "changes, how, said",
    [
        (DATA, {}, ""),
        ({"number_of_epochs": "8"}, {}, ""),
        ({"batch_size": "4"}, {}, "batch_size: 8 to 4 from epoch 1"),
        ({"--jit": "True"}, {}, "--jit: none to True from epoch 1"),
        # A later version's key had no other value.
        ({"new_key": "1"}, {}, ""),
        ({"beam_size": "5", "lm_folder": "lm"}, {"testing": True}, ""),
        ({"batch_size": "4", "--precision": "bf16"}, {"testing": True}, ""),
    ],
)
def test_what_may_differ(begun, changes, how, said):
    found = again(begun, changes, **how)
    assert found.changes == said
    assert (found.first_commit, found.commit) == ("first", "second")
    assert (found.name == name_settings(found.settings)) == (not said)


def test_changes_add_up_and_those_without_training_are_none(begun):
    assert again(begun, DATA | {"batch_size": "4"}).changes
    assert again(begun, DATA).changes == ""
    save(begun, again(begun, DATA | {"batch_size": "4"}))
    change = "batch_size: 8 to 4 from epoch 1"
    once = again(begun, DATA | {"batch_size": "4"})
    assert once.changes == change and once.first_commit == "first"
    twice = again(begun, DATA | {"batch_size": "4", "lr": "2"}, allow=True)
    assert twice.changes == f"{change}; lr: 1 to 2 from epoch 1"
    save(begun, twice)
    assert again(begun, twice.settings).name == twice.name != once.name
    tested = again(begun, twice.settings | {"beam_size": "9"}, testing=True)
    assert tested.changes == twice.changes


def test_a_test_is_of_the_data_that_was_trained_on(begun):
    found = again(begun, {}, testing=True)
    assert {name: found.settings[name] for name in DATA} == DATA


def test_what_nobody_knows_is_refused(tmp_path):
    model = torch.nn.Linear(1, 1)
    AtomicCheckpointer(tmp_path, {"model": model}).save_checkpoint()
    for testing in (False, True):
        with pytest.raises(ValueError, match="whose settings and data nobody"):
            again(tmp_path, {}, testing=testing, allow=True)


def test_a_checkpoint_tells_what_it_was_made_with(begun):
    (path,) = begun.glob("CKPT*/fingerprint.ckpt")
    found = json.loads(path.read_text())
    assert found["settings"] == BEGUN | DATA
    assert not re.search("/", path.read_text())
