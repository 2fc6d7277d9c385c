"""A trained recipe as an ONNX file that needs ONNX Runtime alone."""

import os
import subprocess
import sys

import pytest
import torch
from speechbrain.decoders.ctc import filter_ctc_output

from speechbrain_ligru_fast.deploy.recognizer import export_ctc, main
from speechbrain_ligru_fast.deploy.transcribe import load_recognizer

onnxruntime = pytest.importorskip(
    "onnxruntime", reason="the extra deploy is not installed"
)
pytest.importorskip("onnxscript")


def test_the_file_recognises_what_the_experiment_does(
    librispeech, trained_librispeech, tmp_path
):
    experiment = trained_librispeech
    out = tmp_path / "recognizer"
    assert export_ctc(experiment, out) < 1e-4
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "model.onnx",
        "recognize.py",
        "tokens.txt",
    ]
    recognizer = load_recognizer(experiment)
    wav = str(next(librispeech.glob("test-*/**/*.flac")))
    samples = recognizer.load_audio(wav).unsqueeze(0)
    ones = torch.ones(1)
    with torch.no_grad():
        scores = recognizer.mods.ctc_lin(recognizer.mods.encoder(samples, ones))
    blank = recognizer.hparams.blank_index
    ids = filter_ctc_output(scores.argmax(-1)[0].tolist(), blank_id=blank)
    # On the shelf: neither torch nor this package, as far as it can tell.
    program = "import sys, runpy\nfor name in ('torch', 'speechbrain', "
    program += "'speechbrain_ligru_fast'): sys.modules[name] = None\n"
    program += "runpy.run_path('recognize.py', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", program, wav],
        cwd=out,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == recognizer.tokenizer.decode_ids(ids).strip()
    lines = (out / "tokens.txt").read_text("utf-8").splitlines()
    assert len(lines) == scores.size(-1) and lines[blank] == f"<blk> {blank}"
    session = onnxruntime.InferenceSession(out / "model.onnx")
    facts = session.get_modelmeta().custom_metadata_map
    assert facts == {
        "sample_rate": "16000",
        "vocab_size": str(len(lines)),
        "blank_id": str(blank),
    }


def test_what_can_not_be_exported(tmp_path, capsys):
    assert main([str(tmp_path), "--out", str(tmp_path / "new")]) == 1
    assert "no trained experiment in" in capsys.readouterr().err
    assert main([str(tmp_path), "--out", str(tmp_path)]) == 1
    assert "expected a new folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
