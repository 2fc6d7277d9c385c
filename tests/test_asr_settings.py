"""Which runs count as repetitions of one experiment."""

from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml

from speechbrain_ligru_fast.asr.config import parse
from speechbrain_ligru_fast.asr.settings import fingerprint, settings

YAML = str(Path(__file__).parent / "hparams" / "tiny_timit.yaml")


def settings_of(arguments):
    _, document, run_opts, overrides = parse(arguments)
    return fingerprint(document, overrides, run_opts)


HERE = settings_of([YAML, "--data_folder", "a", "--output_folder", "b"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seed", "7"],
        ["--results_csv", "c.csv"],
        ["--device", "cpu", "--noprogressbar"],
        ["--lm_folder", "x"],
        ["--sync_batch_norm", "False"],  # of one process
        ["--batch_size", "4"],  # as in the file
        ["--train_annotation", "elsewhere/train"],  # its content counts
    ],
    ids=" ".join,
)
def test_same_settings(arguments):
    moved = ["--data_folder", "elsewhere", "--output_folder", "there"]
    assert settings_of([YAML, *moved, *arguments]) == HERE


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
    command = [YAML, "--data_folder", "a", *arguments]
    assert settings_of(command) != HERE
    _, document, run_opts, overrides = parse(command)
    one, other = (
        settings(document, *given)
        for given in ((overrides, run_opts), ({"data_folder": "a"},))
    )
    changed = {n for n in {*one, *other} if one.get(n) != other.get(n)}
    name = arguments[0].partition("=")[0]
    assert changed <= {name, name[2:]} and len(changed) == 1


def test_the_same_after_loading_yaml():
    load_hyperpyyaml("a: (1, 2)")
    assert settings_of([YAML, "--data_folder", "a"]) == HERE


def test_more_processes_are_other_settings(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert settings_of([YAML, "--data_folder", "a"]) != HERE
    several = settings_of([YAML, "--data_folder", "a"])
    apart = settings_of(
        [YAML, "--data_folder", "a", "--sync_batch_norm", "False"]
    )
    assert apart != several
