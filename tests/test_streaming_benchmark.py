"""Which audio the streaming benchmark takes, and what its table says."""

from types import SimpleNamespace

import pandas as pd
import pytest
import soundfile

from benchmarks import recipe_tables, streaming


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "is no JSON of utterances"),
        ("{", "is no JSON of utterances"),
        ('{"a": {"duration": 1}}', "KeyError.*wav"),
        ("{}", "holds no utterance"),
        ('{"a": {"wav": "{data_root}/a.wav"}}', "--data_folder must say"),
    ],
)
def test_bad_manifests_are_refused(tmp_path, text, words):
    path = tmp_path / "test.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        streaming.manifest_audio(path)


@pytest.mark.parametrize("audio", [[], ["a.wav", "--manifest", "test.json"]])
def test_files_or_a_manifest(audio, capsys):
    with pytest.raises(SystemExit):
        streaming.main(["experiment", *audio])
    assert "either audio files or --manifest" in capsys.readouterr().err


@pytest.fixture
def audio(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, [0.0] * 160, 16000)
    return str(path)


@pytest.mark.parametrize("chunk", ["inf", "nan", "0"])
def test_bad_chunks(audio, chunk, capsys):
    with pytest.raises(SystemExit):
        streaming.main(["experiment", audio, "--chunks", "0.1", chunk])
    assert f"--chunks: got '{chunk}', expected" in capsys.readouterr().err


def test_bad_device(audio, capsys):
    assert streaming.main(["experiment", audio, "--device", "cuda:99"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("streaming: device: got 'cuda:99', which can't")


def figures(chunks, mean=None, longest=None):
    return {
        "chunks": chunks,
        "look_ahead_s": 0.1,
        "chunk_ms": mean,
        "chunk_ms_max": longest,
        "end_ms": 900.0,
        "rtf": 0.1,
    }


@pytest.mark.parametrize(
    "found, cells, words",
    [
        # The end of a file of one chunk does not count.
        ([figures(4, 5.0, 7.0), figures(1)], ["5.0", "7.0"], "chunk_ms_max 7"),
        ([figures(1)] * 2, ["", ""], "no file is longer than a chunk"),
    ],
)
def test_times_of_chunks(
    monkeypatch, tmp_path, audio, found, cells, words, capsys
):
    recognizer = SimpleNamespace(
        transcribe_file=lambda _: "text", mods=SimpleNamespace(encoder=None)
    )
    monkeypatch.setattr(streaming, "load_recognizer", lambda *_: recognizer)
    monkeypatch.setattr(streaming, "check_durations", lambda *_: None)
    monkeypatch.setattr(streaming, "describe_recurrent", lambda *_: {})
    # One more, before what is measured.
    waiting = iter([found[0], *found])
    monkeypatch.setattr(streaming, "stream", lambda *_: ("text", next(waiting)))
    results = tmp_path / "rows.csv"
    assert streaming.main(["x", audio, audio, "--results", str(results)]) == 0
    (row,) = pd.read_csv(results, dtype=str, keep_default_na=False).iloc
    assert [row["chunk_ms"], row["chunk_ms_max"]] == cells
    out = capsys.readouterr().out
    assert words in out and "None" not in out


def test_the_table_has_the_command():
    keys = "device threads experiment rnn impl chunk_s look_ahead_s chunk_ms"
    keys += " chunk_ms_max end_ms rtf files same_text commit"
    row = dict.fromkeys(keys.split(), "1") | {"command": "python -m this"}
    table = recipe_tables.streaming(
        SimpleNamespace(streaming=pd.DataFrame([row]))
    )
    assert table.splitlines()[-1].endswith("| `python -m this` |")
