"""Which audio the streaming benchmark takes, and what its table says."""

from types import SimpleNamespace

import pandas as pd
import pytest

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


def test_the_table_has_the_command():
    keys = "device threads experiment rnn impl chunk_s look_ahead_s chunk_ms"
    keys += " chunk_ms_max end_ms rtf files same_text commit"
    row = dict.fromkeys(keys.split(), "1") | {"command": "python -m this"}
    table = recipe_tables.streaming(
        SimpleNamespace(streaming=pd.DataFrame([row]))
    )
    assert table.splitlines()[-1].endswith("| `python -m this` |")
