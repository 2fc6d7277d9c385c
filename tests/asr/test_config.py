"""An experiment's folder: who may use it, for what, and what is kept there."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml, resolve_references
from tiny_systems import HPARAMS, tiny

from speechbrain_ligru_fast.asr.config import load_experiment, resolved
from speechbrain_ligru_fast.deploy.export import export

YAML = str(tiny("tiny_timit.yaml"))


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    # SpeechBrain replaces the hook for the rest of the process.
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def load(folder):
    def call(*arguments, folder=folder):
        command = [YAML, "--data_folder", "x", "--output_folder", str(folder)]
        return load_experiment([*command, *arguments])[0]

    return call


@pytest.mark.parametrize(
    "name", ["timit/ligru_fast", "librispeech/an4", "timit/small_sincnet"]
)
def test_what_is_resolved_can_be_read_again(name):
    document = (HPARAMS / f"{name}.yaml").read_text()
    overrides = {"data_folder": "x", "output_folder": "y", "seed": 7}
    # As in a training: from then on "(1, 2)" is a tuple.
    load_hyperpyyaml("a: (1, 2)")
    kept = resolved(document, overrides)
    assert "!ref" not in kept and "seed: 7" in kept
    # Where nothing was loaded, "(1, 2)" is a string, and strings with anchors
    # are what goes wrong.
    assert not re.search(r"[&*]id\d+ \(", kept)
    assert resolve_references(kept).read() == kept


def test_what_is_kept_begins_another_training(load, folder, tmp_path):
    first = load("--lr", "0.5")
    new = tmp_path / "new"
    kept = str(folder / "hyperparams.yaml")
    again, _ = load_experiment([kept, "--output_folder", str(new)])
    assert again["fingerprint"].name == first["fingerprint"].name
    assert again["lr"] == 0.5 and again["data_folder"] == "x"
    paths = ("save_folder", "results_csv", "train_annotation")
    assert all(Path(again[key]).is_relative_to(new) for key in paths)
    assert str(folder) not in (new / "hyperparams.yaml").read_text()


@pytest.mark.parametrize(
    "given, error, words",
    [
        (["--batch_sizes", "3"], ValueError, "no such option"),
        (
            ["--lm_folder", "nowhere"],
            FileNotFoundError,
            "holds no trained language model: looked for .*lm.yaml",
        ),
        (
            ["--results_csv", "rows.csv"],
            ValueError,
            "rows.csv, line 2: 3 cells for 2",
        ),
    ],
)
def test_nothing_is_made_where_nothing_begins(
    tmp_path, monkeypatch, given, error, words
):
    monkeypatch.chdir(tmp_path)
    damaged = tmp_path / "rows.csv"
    damaged.write_text("wer,cer\n1,2,3\n")
    command = [YAML, "--data_folder", "x", "--output_folder", "out", *given]
    with pytest.raises(error, match=words):
        load_experiment(command)
    # By then the checkpointer has made its folder.
    made = {"out"} if "--results_csv" in given else set()
    assert {path.name for path in tmp_path.iterdir()} == {"rows.csv", *made}
    assert not (tmp_path / "out" / "hyperparams.yaml").exists()
    assert damaged.read_text() == "wer,cer\n1,2,3\n"


@pytest.mark.parametrize("name", ["null", "", "' '"])
def test_a_folder_has_a_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    command = [YAML, "--data_folder", "x", f"--output_folder={name}"]
    with pytest.raises(ValueError, match="output_folder: got .*, expected the"):
        load_experiment(command)


@pytest.fixture
def trained(load, folder):
    """What a checkpoint and an export are of; what others read of them."""
    hparams = load()
    hparams["checkpointer"].save_checkpoint()
    export(hparams)

    def kept():
        names = ["hyperparams.yaml", *(folder / "export").glob("*")]
        return {str(name): (folder / name).read_bytes() for name in names}

    return kept


def test_a_test_claims_what_was_trained(load, trained):
    before = trained()
    given = ["--norm_type", "sentence", "--max_grad_norm", "1", "--seed", "7"]
    given += ["--rnn_class=!name:speechbrain.nnet.RNN.LSTM"]
    names = "--max_grad_norm, norm_type, rnn_class, seed"
    with pytest.raises(ValueError, match=f"training with other {names}. Give"):
        load(*given, "--test_only")
    assert trained() == before


def test_what_belongs_to_the_test_may_differ(load, folder, trained):
    before = trained()
    given = ["--beam_size", "5", "--ctc_weight_decode", "0.2", "--jit"]
    given += ["--backend", "reference", "--batch_size", "2"]
    given += ["--number_of_epochs", "9", "--eval_precision", "bf16"]
    given += ["--test_speakers=[MTST1]", "--results_csv", str(folder / "r.csv")]
    hparams = load(*given, "--test_only")
    export(hparams, trained=False)
    assert trained() == before and hparams["fingerprint"].changes == ""
    # The same settings' export is written anew.
    hparams = load("--test_only")
    (folder / "export" / "enc.ckpt").unlink()
    export(hparams, trained=False)
    assert set(trained()) == set(before)


HOLD = """\
import os, sys, time
from speechbrain_ligru_fast.training.lock import lock_folder
for folder in sys.argv[1:]:
    lock_folder(folder)
print("held", flush=True)
os.fork()  # as data loading does: both go on
time.sleep(600)
"""


def test_one_process_to_a_folder(load, folder, tmp_path):
    save, beside = tmp_path / "save", tmp_path / "beside"
    cases = (folder, [], folder), (beside, ["--save_folder", str(save)], save)
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), str(save)],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert other.stdout.readline() == b"held\n"
        for output, given, held in cases:
            words = f"output_folder {held} is in use by process {other.pid} "
            with pytest.raises(RuntimeError, match=re.escape(words)):
                load(*given, folder=output)
            assert not (output / "hyperparams.yaml").exists()
        other.kill()
        other.wait()
        for output, given, _ in cases:
            load(*given, folder=output)
            # Its own test afterwards, in the same process or in another.
            load(*given, "--test_only", folder=output)
    finally:
        # With the forked one; without it nobody may be left.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(other.pid, signal.SIGKILL)
