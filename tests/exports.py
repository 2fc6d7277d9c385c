"""Recognisers that were not trained, their exports, and what those print."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import twins
from speechbrain.processing.features import InputNormalization

from speechbrain_ligru_fast.deploy import recognizer as deploy
from speechbrain_ligru_fast.recognition.encoding import Encoder
from speechbrain_ligru_fast.recognition.features import Fbank
from speechbrain_ligru_fast.recognition.tokenizer import LabelTokenizer

# Neither torch nor this package is there, as far as it can tell.
PROGRAM = """
import sys, runpy
for name in ("torch", "speechbrain", "speechbrain_ligru_fast"):
    sys.modules[name] = None
runpy.run_path("recognize.py", run_name="__main__")
"""


def untrained(labels, special=1, norm_type="global", ctc_weight=0.5, **options):
    """What ``load_recognizer`` gives of an experiment, as far as it is used."""
    sizes = {"cnn_channels": [3], "cnn_blocks": 1, "rnn_neurons": 10}
    options = {"rnn_bidirectional": False, **sizes, **options}
    crdnn = twins.crdnn(20, **options)
    normalize = InputNormalization(norm_type=norm_type)
    normalize.glob_mean = torch.linspace(-30, -10, 20)
    normalize.glob_std = torch.full((20,), 12.0)
    encoder = Encoder(Fbank(n_mels=20), normalize, crdnn)
    ctc_lin = torch.nn.Linear(4, special + len(labels))
    return SimpleNamespace(
        mods=SimpleNamespace(encoder=encoder.eval(), ctc_lin=ctc_lin),
        audio_normalizer=SimpleNamespace(sample_rate=16000),
        hparams=SimpleNamespace(blank_index=0, ctc_weight=ctc_weight),
        tokenizer=LabelTokenizer(labels, special),
    )


def export(out, recognizer, **options):
    """Exports a recogniser as if an experiment had it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deploy, "load_recognizer", lambda *_, **__: recognizer)
        return deploy.export_ctc("experiment", out, **options)


def recognized(out, wav):
    """What an export's own program prints."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, wav],
        cwd=out,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
