"""Losses of a training with our layer beside those with SpeechBrain's."""

import sys

import pytest
import tiny_corpora
import torch
from tiny_systems import tiny

from benchmarks import convergence
from speechbrain_ligru_fast.asr.results import read_rows


@pytest.fixture
def train(monkeypatch, tmp_path):
    """Trains the tiny system; returns the rows by layer and type."""
    monkeypatch.setattr(convergence, "SYSTEM", tiny("tiny_timit.yaml"))
    # SpeechBrain replaces the hook for the rest of the process.
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    corpus = tiny_corpora.make_timit(tmp_path / "corpus")
    threads = torch.get_num_threads()

    def start(steps):
        out = tmp_path / "convergence.csv"
        arguments = ["--steps", str(steps), "--threads", "1"]
        arguments += ["--out", str(out), "--data_folder", str(corpus)]
        arguments += ["--backend", "reference"]
        convergence.main([*arguments, "--number_of_epochs", "2"])
        found = {}
        for row in read_rows(out)[1]:
            found.setdefault((row["impl"], row["dtype"]), []).append(row)
        return found

    yield start
    torch.set_num_threads(threads)


def worst(rows):
    return max(float(row["difference"]) for row in rows)


def test_both_layers_train_alike(train):
    found = train(4)
    assert set(found) == {
        ("reference", "fp64"),
        ("reference", "fp32"),
        ("speechbrain-perturbed", "fp32"),
    }
    assert all(len(rows) == 4 for rows in found.values())
    losses = [float(row["loss"]) for row in found["reference", "fp64"]]
    assert len(set(losses)) == 4
    assert worst(found["reference", "fp64"]) < 1e-6
    assert worst(found["speechbrain-perturbed", "fp32"]) > 0
    assert torch.get_default_dtype() == torch.float32


def test_a_wrong_layer_trains_otherwise(train, monkeypatch):
    def wrong(encoder, backend):
        with torch.no_grad():
            encoder.RNN.rnn[0].w.weight.mul_(1.5)
            encoder.RNN.rnn[0].u.weight.zero_()

    monkeypatch.setattr(convergence, "accelerate", wrong)
    found = train(1)
    assert worst(found["reference", "fp64"]) > 1e-4
    assert worst(found["reference", "fp32"]) > 1e-4


def test_too_few_utterances_to_train_on(train):
    with pytest.raises(ValueError, match="steps: got 9.*only 4"):
        train(9)
