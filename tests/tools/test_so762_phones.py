"""Phones of speechocean762 as annotations of one's own."""

import json

import pytest
import soundfile

from speechbrain_ligru_fast.asr.corpora.own import prepare_corpus
from tools import so762_phones


@pytest.fixture
def so762(tmp_path):
    """An utterance of each split, and what their words are made of."""
    lines = []
    for speaker, split in enumerate(so762_phones.SPLITS, 1):
        chapter = tmp_path / "so762" / split / str(speaker) / "1"
        chapter.mkdir(parents=True)
        name = f"{speaker}-1-{speaker}007"
        soundfile.write(chapter / f"{name}.flac", [0.1, 0.2] * 800, 16000)
        (chapter / f"{speaker}-1.trans.txt").write_text(f"{name} WE CALL\n")
        lines.append(f"{speaker}007.0\tW_B IY0_E\n")
        lines.append(f"{speaker}007.1\tK_B AO1_I L_E\n")
    resource = tmp_path / "so762" / "resource"
    resource.mkdir()
    (resource / "text-phone").write_text("".join(lines))
    return tmp_path / "so762"


def test_command_line(so762, tmp_path, monkeypatch, capsys):
    out = tmp_path / "phones"
    monkeypatch.setattr("sys.argv", ["x", f"--so762={so762}", f"--out={out}"])
    so762_phones.main()
    assert capsys.readouterr().out == "5 phones: AO IY K L W\n"
    assert sorted(path.stem for path in out.iterdir()) == sorted(
        so762_phones.SPLITS
    )
    item = json.loads((out / "test-so762.json").read_text())["3-1-3007"]
    assert item["phn"] == "W IY K AO L" and item["wrd"] == "WE CALL"
    assert item["spk_id"] == "3"
    assert soundfile.info(item["wav"]).frames == 1600
    sets = {"train": "train", "valid": "dev", "test": "test"}
    sets = {name: out / f"{x}-so762.json" for name, x in sets.items()}
    prepare_corpus(sets, out, tmp_path, [], [], [], "phn", None, 0)
    made = json.loads((tmp_path / "train.json").read_text())
    assert made["1-1-1007"]["phn"] == "W IY K AO L"


def test_what_has_no_phones_is_named(so762, tmp_path):
    with pytest.raises(FileNotFoundError, match="text-phone"):
        so762_phones.annotate_phones(tmp_path, tmp_path / "phones")
    path = so762 / "resource" / "text-phone"
    path.write_text(path.read_text().replace("3007.1", "4007.1"))
    with pytest.raises(ValueError, match="3-1-3007: 'WE CALL', .* of 1 words"):
        so762_phones.annotate_phones(so762, tmp_path / "phones")
    assert not (tmp_path / "phones").exists()
