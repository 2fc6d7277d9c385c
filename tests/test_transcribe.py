"""Bad input of the transcriber; test_recipes.py has what it transcribes."""

import runpy
import sys
from pathlib import Path

import pytest
import soundfile

from speechbrain_ligru_fast.asr.transcribe import main

SCRIPT = Path(__file__).parent.parent / "transcribe.py"


@pytest.fixture
def audio(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, [0.0] * 160, 16000)
    return str(path)


def test_no_experiment(tmp_path, audio, capsys):
    # An experiment that did not finish has this file, but nothing exported.
    (tmp_path / "hyperparams.yaml").write_text("a: 1\n")
    assert main([str(tmp_path), audio]) == 1
    out, err = capsys.readouterr()
    assert out == "" and f"no trained experiment in {tmp_path}" in err
    assert str(tmp_path / "export") in err


def test_bad_audio(tmp_path, audio, capsys):
    broken = tmp_path / "b.flac"
    broken.write_bytes(b"fLaC nothing")
    empty = tmp_path / "c.wav"
    soundfile.write(empty, [], 16000)
    missing = tmp_path / "d.wav"
    bad = [broken, empty, missing]
    assert main(["none", audio, *map(str, bad)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and audio not in err
    assert all(str(path) in err for path in bad)


def test_chunks_of_nothing(audio, capsys):
    with pytest.raises(SystemExit):
        main(["none", audio, "--stream", "--chunk", "0"])
    assert "--chunk must be above 0" in capsys.readouterr().err


def test_script(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["transcribe.py", "--help"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert stop.value.code == 0
    assert "experiment" in capsys.readouterr().out
