"""prepare_librispeech on a tiny corpus and on real utterances."""

from pathlib import Path

import pytest

from speechbrain_ligru_fast.asr.corpora.librispeech import prepare_librispeech

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
FIXTURE = DATA / "librispeech-fixture"


def test_manifests(librispeech):
    assert librispeech.prepare()["train"]["2-7-0003"] == {
        "wav": "{data_root}/train-b/2/7/2-7-0003.flac",
        "duration": 0.2,
        "spk_id": "2",
        "wrd": "IT'S D",
    }
    lower = librispeech.prepare(letter_case="lower")["train"]
    assert lower["2-7-0003"]["wrd"] == "it's d"


def test_a_librispeech_folder(librispeech, tmp_path):
    (tmp_path / "parent").mkdir()
    librispeech.root.rename(tmp_path / "parent" / "LibriSpeech")
    made = librispeech.prepare(data_folder=tmp_path / "parent")
    wav = made["train"]["1-7-0000"]["wav"]
    assert wav == "{data_root}/LibriSpeech/train-a/1/7/1-7-0000.flac"


def test_a_relative_folder(librispeech, monkeypatch):
    want = librispeech.prepare()
    monkeypatch.chdir(librispeech.root.parent)
    assert librispeech.prepare(data_folder="corpus") == want


def test_only_what_is_asked_for(librispeech):
    made = librispeech.prepare(train_splits=None, dev_splits=[])
    assert list(made) == ["test-x"]


def test_a_development_set_may_be_tested(librispeech):
    path = librispeech.root / "dev-x" / "3" / "7" / "3-7-0001.flac"
    librispeech.paths["dev-x"] = librispeech.out / "dev-x.json"
    made = librispeech.prepare(test_splits=["dev-x", "test-x"])
    assert len(made["valid"]) == 4 and made["dev-x"] == made["valid"]
    # It may lack some, unless it is tested.
    path.unlink()
    made = librispeech.prepare(max_bad_fraction=0.25)
    assert len(made["valid"]) == 3
    with pytest.raises(ValueError, match="dev-x: 1 of 4 .* must be whole"):
        librispeech.prepare(max_bad_fraction=0.25, test_splits="dev-x")


def test_missing_split_is_named_with_those_found(librispeech):
    with pytest.raises(FileNotFoundError) as err:
        librispeech.prepare(test_splits=["test-x", "test-z"])
    message = str(err.value)
    assert "lacks test-z." in message
    assert "dev-x, test-x, train-a, train-b" in message
    nowhere = librispeech.root / "nowhere"
    with pytest.raises(FileNotFoundError) as err:
        librispeech.prepare(data_folder=nowhere)
    for split in ("train-a", "dev-x", "test-x"):
        assert str(nowhere / split) in str(err.value)
        assert str(nowhere / "LibriSpeech" / split) in str(err.value)
    assert not librispeech.out.exists()


NONE = dict.fromkeys(["train_splits", "dev_splits", "test_splits"])
BAD = [
    (NONE, "are empty"),
    ({"dev_splits": "train-a"}, "train-a given more than once"),
    ({"test_splits": "train-a"}, "train-a given more than once"),
    ({"test_splits": ["test-x"] * 2}, "test-x given more than once"),
    ({"test_splits": "train"}, "name train is taken"),
    ({"letter_case": "UPPER"}, "null, upper or lower, got 'UPPER'"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_option(librispeech, options, message):
    with pytest.raises(ValueError, match=message):
        librispeech.prepare(**options)
    assert not librispeech.out.exists()


def test_utterance_in_two_splits(librispeech):
    path = librispeech.root / librispeech.audio
    (librispeech.root / "train-a" / path.name).write_bytes(path.read_bytes())
    words = "2-7-0002 is there twice: .*/train-a/2-.* and .*/train-b/2/7/2-"
    with pytest.raises(ValueError, match=words):
        librispeech.prepare()
    path.unlink()
    text = librispeech.root / librispeech.text
    text.write_text(text.read_text() * 2)
    with pytest.raises(ValueError, match="2-7-0000 is there twice"):
        librispeech.prepare()


@pytest.mark.skipif(not FIXTURE.is_dir(), reason=f"needs {FIXTURE.name}")
def test_genuine_librispeech_goes_through_unchanged(librispeech):
    prepare_librispeech(FIXTURE, librispeech.out, [], [], "test-clean")
    librispeech.paths["test"] = librispeech.out / "test-clean.json"
    made = librispeech.read()["test"]
    lines = [f"{key} {entry['wrd']}" for key, entry in made.items()]
    texts = sorted(FIXTURE.rglob("*.trans.txt"))
    assert lines == "".join(p.read_text() for p in texts).splitlines()
    assert len(lines) == 4
