"""AN4's forced-aligned phones in TIMIT's layout."""

import json

import pytest
import soundfile

from speechbrain_ligru_fast.asr.corpora.timit import prepare_timit
from tools.demo_corpus import an4_timit


@pytest.fixture
def an4(tmp_path):
    """A speaker of each split, with two utterances and their phones."""
    for split, speaker in zip(("train-an4", "dev-an4", "test-an4"), "123"):
        chapter = tmp_path / "an4" / split / speaker / "1"
        labels = tmp_path / "an4" / "phones" / split
        chapter.mkdir(parents=True)
        labels.mkdir(parents=True)
        for name in (f"{speaker}-1-0", f"{speaker}-1-1"):
            soundfile.write(chapter / f"{name}.flac", [0.1, 0.2] * 400, 16000)
            (labels / f"{name}.PHN").write_text("0 300 h#\n300 800 w\n")
            (labels / f"{name}.WRD").write_text("300 800 one\n")
    return tmp_path / "an4"


def test_command_line(an4, tmp_path, monkeypatch, capsys):
    # As one of AN4's could not be aligned
    (an4 / "phones" / "train-an4" / "1-1-1.PHN").unlink()
    out = tmp_path / "timit"
    monkeypatch.setattr("sys.argv", ["x", f"--an4={an4}", f"--out={out}"])
    an4_timit.main()
    printed = capsys.readouterr().out
    assert "no phones" in printed and "1-1-1.flac" in printed
    folder = out / "TRAIN" / "DR1" / "1"
    names = {path.name for path in folder.iterdir()}
    assert names == {f"1-1-0.{end}" for end in ("WAV", "PHN", "WRD", "TXT")}
    assert (folder / "1-1-0.TXT").read_text() == "0 800 ONE\n"
    flac = an4 / "train-an4" / "1" / "1" / "1-1-0.flac"
    wav, _ = soundfile.read(folder / "1-1-0.WAV", dtype="int16")
    assert (wav == soundfile.read(flac, dtype="int16")[0]).all()
    paths = [tmp_path / f"{name}.json" for name in ("train", "valid", "test")]
    prepare_timit(out, *paths, max_bad_fraction=0)
    made = [json.loads(path.read_text()) for path in paths]
    assert [len(m) for m in made] == [1, 2, 2]
    assert made[2]["3_3-1-0"]["phn"] == "sil w"

    an4.rename(tmp_path / "other")
    with pytest.raises(FileExistsError, match="give an empty folder"):
        an4_timit.an4_to_timit(tmp_path / "other", out)


def test_what_can_t_be_converted_is_named(an4, tmp_path):
    out = tmp_path / "timit"
    flac = an4 / "test-an4" / "3" / "1" / "3-1-0.flac"
    soundfile.write(flac, [0.0] * 400, 8000)
    with pytest.raises(ValueError, match="3-1-0.flac is not mono of 16000 Hz"):
        an4_timit.an4_to_timit(an4, out)
    (an4 / "phones" / "test-an4" / "3-1-0.PHN").unlink()
    with pytest.raises(ValueError, match="3-1-0.flac: a test set must be whol"):
        an4_timit.an4_to_timit(an4, out)
    with pytest.raises(FileNotFoundError, match="phones/dev-an4"):
        an4_timit.an4_to_timit(tmp_path, out)
    assert [path.name for path in tmp_path.iterdir()] == ["an4"]
