"""The transcriber's messages; the recipes' tests have what it transcribes."""

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile

from speechbrain_ligru_fast.deploy import transcribe
from speechbrain_ligru_fast.deploy.transcribe import main

ROOT = Path(__file__).parents[2]
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


@pytest.mark.parametrize(
    "more, words",
    [
        ("none.wav", "can't read "),
        ("--device=cuda:99", "device: got 'cuda:99', which"),
        ("--device=nonsense", "device: got 'nonsense', which"),
        ("--device=meta", "device: got 'meta', which"),
    ],
)
def test_what_can_not_be_done(audio, more, words, capsys):
    assert main(["none", audio, more]) == 1
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert err.startswith(f"transcribe: {words}")


@pytest.mark.parametrize("chunk", ["0", "-1", "inf", "nan", "long"])
def test_bad_chunks(audio, chunk, capsys):
    with pytest.raises(SystemExit):
        main(["none", audio, "--stream", "--chunk", chunk])
    words = f"--chunk: got '{chunk}', expected a finite number above 0"
    assert words in capsys.readouterr().err


class Streaming:
    """What `stream` needs of a StreamingRecognizer; a piece takes 2 s."""

    look_ahead = 160

    def __init__(self, recognizer):
        self.seconds = []

    def feed(self, wav, last):
        self.seconds.append(3.0 if last else 2.0)
        return "text"


@pytest.mark.parametrize(
    "chunk, chunks, most, factor",
    [("0.002", 5, 2000, 1100), ("0.01", 1, 0, 300), ("1e308", 1, 0, 300)],
)
def test_times_of_chunks(
    monkeypatch, audio, chunk, chunks, most, factor, capsys
):
    recognizer = SimpleNamespace(
        audio_normalizer=SimpleNamespace(sample_rate=16000)
    )
    monkeypatch.setattr(transcribe, "StreamingRecognizer", Streaming)
    monkeypatch.setattr(transcribe, "load_recognizer", lambda *_: recognizer)
    monkeypatch.setattr(transcribe, "check_durations", lambda *_: None)
    assert main(["none", audio, "--stream", "--chunk", chunk]) == 0
    assert capsys.readouterr().err == (
        f"{audio}: {chunks} chunks, at most {most} ms a chunk and 3000 ms for "
        f"the last with its search, look-ahead 0.01 s, real-time factor "
        f"{factor}.000\n"
    )


def test_help(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["transcribe.py", "--help"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / "transcribe.py"), run_name="__main__")
    out = " ".join(capsys.readouterr().out.split())
    assert stop.value.code == 0 and "folders that you trust" in out
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
