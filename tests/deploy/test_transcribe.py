"""Bad input of the transcriber; test_recipes.py has what it transcribes."""

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import soundfile

from speechbrain_ligru_fast.deploy import transcribe
from speechbrain_ligru_fast.deploy.transcribe import main

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "transcribe.py"
SCRIPTS = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted(ROOT.glob("speechbrain_ligru_fast/**/*.py"))
    if "\ndef main(" in path.read_text("utf-8")
]


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


@pytest.mark.parametrize("sample", ["nan", "inf", "-inf", "1e30", "1e300"])
def test_what_is_no_sound(tmp_path, audio, sample, capsys):
    path = tmp_path / "float.wav"
    samples = numpy.zeros((40000, 2))
    samples[30000, 1] = float(sample)
    soundfile.write(path, samples, 16000, subtype="DOUBLE")
    assert main(["none", audio, str(path)]) == 1
    err = capsys.readouterr().err
    assert f"{path}: a sample within 0.00 to 2.50 s is NaN" in err
    samples[30000, 1] = 2.0**31
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    transcribe.check_audio([audio, path])


def test_a_file_cut_in_its_middle(tmp_path, capsys):
    path = tmp_path / "cut.flac"
    noise = numpy.random.default_rng(0).normal(size=80000) / 9
    soundfile.write(path, noise, 16000)
    path.write_bytes(path.read_bytes()[:40000])
    assert main(["none", str(path)]) == 1
    assert "can't read" in capsys.readouterr().err


@pytest.mark.parametrize("chunk", ["0", "-1", "inf", "nan", "long"])
def test_bad_chunks(audio, chunk, capsys):
    with pytest.raises(SystemExit):
        main(["none", audio, "--stream", "--chunk", chunk])
    assert (
        f"--chunk: got '{chunk}', expected a finite number above 0"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "meta"])
def test_bad_device(audio, device, capsys):
    assert main(["none", audio, "--device", device]) == 1
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert err.startswith(f"transcribe: device: got '{device}', which can't")


class Streaming:
    """What `stream` needs of a StreamingRecognizer; a piece takes 2 s."""

    look_ahead = 160

    def __init__(self, recognizer):
        self.seconds = []

    def feed(self, wav, last):
        self.seconds.append(3.0 if last else 2.0)
        return "text"


@pytest.mark.parametrize(
    "chunk, figures, words",
    [
        # 4 pieces and the end.
        ("0.002", (5, 2000, 2000, 3000), "5 chunks, 2000 ms a chunk (at most "),
        ("0.01", (1, 0, 0, 3000), "1 chunks, "),
        ("1e308", (1, 0, 0, 3000), "1 chunks, "),
    ],
)
def test_times_of_chunks(monkeypatch, audio, chunk, figures, words, capsys):
    recognizer = SimpleNamespace(
        audio_normalizer=SimpleNamespace(sample_rate=16000)
    )
    monkeypatch.setattr(transcribe, "StreamingRecognizer", Streaming)
    monkeypatch.setattr(transcribe, "load_recognizer", lambda *_: recognizer)
    monkeypatch.setattr(transcribe, "check_durations", lambda *_: None)
    _, got = transcribe.stream(recognizer, audio, float(chunk), print)
    keys = "chunks chunk_ms chunk_ms_max end_ms".split()
    assert tuple(got[key] for key in keys) == figures
    assert main(["none", audio, "--stream", "--chunk", chunk]) == 0
    err = capsys.readouterr().err
    assert words in err and " and 3000 ms for the last with its search" in err


def test_help_names_what_streaming_needs(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert "--norm_type global --rnn_bidirectional False" in out


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_module_with_a_command_line_is_one(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--nonsense"])
    # It is imported already, by tests.
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(SystemExit) as stop:
        runpy.run_module(name, run_name="__main__")
    assert stop.value.code == 2
    assert "usage: " in capsys.readouterr().err


def test_script(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["transcribe.py", "--help"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert stop.value.code == 0
    assert "experiment" in capsys.readouterr().out
