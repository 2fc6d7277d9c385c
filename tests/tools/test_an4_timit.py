"""AN4's forced-aligned phones in TIMIT's layout."""

import json
import shutil
from pathlib import Path

import pytest
import soundfile

from speechbrain_ligru_fast.asr.corpora.timit import prepare_timit
from tools.demo_corpus import an4_timit

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
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
def test_command_line(part, tmp_path, monkeypatch, capsys):
    out = tmp_path / "timit"
    argv = ["an4_timit", "--an4", str(part), "--out", str(out)]
    monkeypatch.setattr("sys.argv", argv)
    an4_timit.main()
    # One of that speaker's 9 could not be aligned.
    printed = capsys.readouterr().out
    assert "no phones" in printed and "101-2-0004.flac" in printed
    folder = out / "TRAIN" / "DR1" / "101"
    assert len(list(folder.glob("*.WAV"))) == 8
    names = {path.name for path in folder.glob("101-1-0000.*")}
    assert names == {f"101-1-0000.{e}" for e in ("WAV", "PHN", "WRD", "TXT")}
    wav, _ = soundfile.read(folder / "101-1-0000.WAV", dtype="int16")
    flac = part / "train-an4" / "101" / "1" / "101-1-0000.flac"
    assert (wav == soundfile.read(flac, dtype="int16")[0]).all()
    assert (out / "dev_spk.list").read_text() == "104\n"
    assert (out / "test_spk.list").read_text() == "201\n"

    paths = [tmp_path / f"{name}.json" for name in ("train", "valid", "test")]
    prepare_timit(out, *paths, max_bad_fraction=0)
    made = [json.loads(path.read_text()) for path in paths]
    assert [len(m) for m in made] == [8, 13, 13]
    for entry in made[2].values():
        ends = [int(end) for end in entry["ground_truth_phn_ends"].split()]
        assert ends == sorted(ends)
        # The aligner's frame step is 160 samples.
        assert 0 <= entry["duration"] * 16000 - ends[-1] <= 160

    elsewhere = part.rename(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError, match="give an empty folder"):
        an4_timit.an4_to_timit(elsewhere, out)


@needs_an4
def test_no_phones_no_result(part, tmp_path):
    for path in (part / "phones" / "test-an4").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="a test set must be whole"):
        an4_timit.an4_to_timit(part, tmp_path / "timit")
    assert {path.name for path in tmp_path.iterdir()} == {"an4"}


def test_labels_count_samples_of_one_rate(tmp_path):
    for split, speaker in zip(an4_timit._SPLITS, "123"):
        (tmp_path / split / speaker / "1").mkdir(parents=True)
        labels = tmp_path / "phones" / split
        labels.mkdir(parents=True)
        flac = tmp_path / split / speaker / "1" / f"{speaker}-1-0.flac"
        soundfile.write(flac, [0.0] * 800, 16000 if speaker < "3" else 8000)
        for kind, label in ("PHN", "h#"), ("WRD", "one"):
            (labels / f"{speaker}-1-0.{kind}").write_text(f"0 800 {label}\n")
    with pytest.raises(ValueError, match="3-1-0.flac is not mono of 16000 Hz"):
        an4_timit.an4_to_timit(tmp_path, tmp_path / "timit")
    assert not (tmp_path / "timit").exists()


def test_no_corpus_names_the_paths(tmp_path):
    with pytest.raises(FileNotFoundError) as err:
        an4_timit.an4_to_timit(tmp_path, tmp_path / "timit")
    assert str(tmp_path / "phones" / "dev-an4") in str(err.value)
