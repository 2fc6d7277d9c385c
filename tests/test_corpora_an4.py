"""AN4's forced-aligned phones in TIMIT's layout."""

import json
import shutil
from pathlib import Path

import pytest
import soundfile

from speechbrain_ligru_fast.asr.corpora import an4_timit
from speechbrain_ligru_fast.asr.corpora.timit import prepare_timit

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
AN4 = DATA / "an4-librispeech"

needs_an4 = pytest.mark.skipif(not AN4.is_dir(), reason=f"needs {AN4.name}")


@pytest.fixture
def part(tmp_path):
    """One speaker of each split, with phones."""
    root = tmp_path / "an4"
    for split, speaker in (
        ("train-an4", "101"),
        ("dev-an4", "104"),
        ("test-an4", "201"),
    ):
        shutil.copytree(AN4 / split / speaker, root / split / speaker)
        labels = root / "phones" / split
        labels.mkdir(parents=True)
        for path in (AN4 / "phones" / split).glob(f"{speaker}-*"):
            (labels / path.name).write_bytes(path.read_bytes())
    return root


@needs_an4
def test_command_line(part, tmp_path, monkeypatch, capsys, caplog):
    out = tmp_path / "timit"
    argv = ["an4_timit", "--an4", str(part), "--out", str(out)]
    # 101-2-0004 has no phones: one of that speaker's 9.
    monkeypatch.setattr("sys.argv", [*argv, "--max_bad_fraction", "0.15"])
    an4_timit.main()
    printed = capsys.readouterr().out
    assert "--dev_speakers=104\n--test_speakers=201\n" in printed
    assert "skipping 101-2-0004: no transcript" in caplog.text
    folder = out / "TRAIN" / "DR1" / "101"
    names = {path.name for path in folder.glob("101-1-0000.*")}
    assert names == {f"101-1-0000.{e}" for e in ("WAV", "PHN", "WRD", "TXT")}
    wav, _ = soundfile.read(folder / "101-1-0000.WAV", dtype="int16")
    flac = part / "train-an4" / "101" / "1" / "101-1-0000.flac"
    assert (wav == soundfile.read(flac, dtype="int16")[0]).all()

    monkeypatch.setattr("sys.argv", [*argv, "--max_bad_fraction", "0.2"])
    with pytest.raises(FileExistsError, match="give an empty folder"):
        an4_timit.main()


@needs_an4
def test_no_phones_no_result(part, tmp_path):
    for path in (part / "phones" / "test-an4").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="AN4 test-an4"):
        an4_timit.an4_to_timit(part, tmp_path / "timit", 0.5)
    assert {path.name for path in tmp_path.iterdir()} == {"an4"}


def test_no_corpus_names_the_paths(tmp_path):
    with pytest.raises(FileNotFoundError) as err:
        an4_timit.an4_to_timit(tmp_path, tmp_path / "timit")
    assert str(tmp_path / "phones" / "dev-an4") in str(err.value)


@needs_an4
def test_whole_corpus(tmp_path):
    an4_timit.an4_to_timit(AN4, tmp_path / "timit")
    paths = [tmp_path / f"{name}.json" for name in ("train", "valid", "test")]
    prepare_timit(tmp_path / "timit", *paths, max_bad_fraction=0)
    made = [json.loads(path.read_text()) for path in paths]
    # One training utterance could not be aligned.
    assert [len(m) for m in made] == [845, 102, 130]
    for entry in made[2].values():
        ends = [int(end) for end in entry["ground_truth_phn_ends"].split()]
        assert ends == sorted(ends)
        # The aligner's frame step is 160 samples.
        assert 0 <= entry["duration"] * 16000 - ends[-1] <= 160
