"""prepare_timit on a tiny corpus and on NLTK's sample of the real one."""

import shutil
from pathlib import Path

import pytest
import soundfile

from speechbrain_ligru_fast.recognition.phones import (
    LABELS_61,
    fold_phones,
)

NLTK = Path(__file__).resolve().parents[4] / "shared/data/nltk-timit-sample"


def test_manifests(timit):
    assert timit.prepare()["train"]["FAAA0_SX1"] == {
        "wav": "{data_root}/TRAIN/DR1/FAAA0/SX1.WAV",
        "duration": 0.2,
        "spk_id": "FAAA0",
        "phn": "sil ih sil",
        "wrd": "it",
        "ground_truth_phn_ends": "800 1500 3200",
    }


@pytest.mark.parametrize(
    ("phn_set", "phones", "ends"),
    [
        (48, "sil ix cl sil", "800 1500 2400 3200"),
        (61, "h# ix q tcl h#", "800 1500 1600 2400 3200"),
    ],
)
def test_phone_sets(timit, phn_set, phones, ends):
    entry = timit.prepare(phn_set=phn_set)["train"]["FAAA0_SX1"]
    assert (entry["phn"], entry["ground_truth_phn_ends"]) == (phones, ends)
    folded = [fold_phones([(0, 1, label)], phn_set)[0] for label in LABELS_61]
    assert len({phone for phones in folded for phone in phones}) == phn_set


def test_lower_case_sphere_and_parent_folder(timit, tmp_path):
    for path in sorted(timit.root.rglob("*.*")):
        lower = path.with_name(path.name.lower())
        if path.suffix == ".WAV":
            signal, _ = soundfile.read(path, dtype="int16")
            soundfile.write(lower, signal, 16000, "PCM_16", format="NIST")
            assert lower.read_bytes().startswith(b"NIST_1A")
            path.unlink()
        else:
            path.rename(lower)
    parent = tmp_path / "parent"
    parent.mkdir()
    timit.root.rename(parent / "timit")
    for split in ("TRAIN", "TEST"):
        (parent / "timit" / split).rename(parent / "timit" / split.lower())
    made = timit.prepare(data_folder=parent)
    assert [len(m) for m in made.values()] == [8, 4, 4]
    wav = made["train"]["FAAA0_sx1"]["wav"]
    assert wav == "{data_root}/timit/train/DR1/FAAA0/sx1.wav"
    timit.prepare(data_folder=parent, uppercase=False)
    with pytest.raises(FileNotFoundError, match="lacks TRAIN, TEST"):
        timit.prepare(data_folder=parent, uppercase=True)


def test_second_wav_of_the_same_sentence_is_left_out(timit):
    wav = timit.root / timit.audio
    wav.with_name("SX2.WAV.wav").write_bytes(wav.read_bytes())
    assert len(timit.prepare()["train"]) == 8


def test_speaker_lists_beside_the_corpus(timit):
    (timit.root / "dev_spk.list").write_text("\ufeffMBBB0\n")
    (timit.root / "test_spk.list").write_text("MDDD0\n")
    made = timit.prepare(dev_speakers=None, test_speakers=None)
    speakers = [{e["spk_id"] for e in part.values()} for part in made.values()]
    # FCCC0 is under TEST, so never trained on.
    assert speakers == [{"FAAA0"}, {"MBBB0"}, {"MDDD0"}]


def test_no_corpus_names_the_paths(timit, tmp_path):
    (tmp_path / "empty" / "music").mkdir(parents=True)
    with pytest.raises(FileNotFoundError) as err:
        timit.prepare(data_folder=tmp_path / "empty")
    for part in ("data_folder", "TRAIN", "TEST", "train", "test", "music"):
        assert part in str(err.value)
    assert not timit.out.exists()


@pytest.mark.parametrize("lacking", ["TRAIN", "TEST"])
def test_the_half_that_lacks_is_named(timit, lacking):
    shutil.rmtree(timit.root / lacking)
    (timit.root / "music").mkdir()
    words = rf"lacks {lacking}\. .*for: {timit.root / lacking}\. .*: T\w+, mus"
    with pytest.raises(FileNotFoundError, match=words):
        timit.prepare()


BAD = [
    ({"dev_speakers": "nobody"}, "dev_speakers: nobody not found.*faaa0"),
    ({"test_speakers": None}, "test_speakers: fadg0|fdhc0.*not found"),
    ({"dev_speakers": []}, "dev_speakers names no speaker"),
    ({"dev_speakers": "MDDD0"}, "share mddd0"),
    ({"phn_set": 60}, r"phn_set must be one of \(39, 48, 61\), got 60"),
    (
        {"dev_speakers": "FAAA0", "test_speakers": "MBBB0"},
        "TIMIT train: no utterance found",
    ),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_option(timit, options, message):
    with pytest.raises(ValueError, match=message):
        timit.prepare(**options)
    assert not timit.out.exists()


@pytest.mark.parametrize("other", ["TRAIN/DR2", "TEST/DR1"])
def test_speaker_in_two_folders(timit, other):
    source = timit.root / "TRAIN" / "DR1" / "FAAA0"
    shutil.copytree(source, timit.root / other / "FAAA0")
    with pytest.raises(ValueError, match="speaker faaa0 twice"):
        timit.prepare()


@pytest.mark.skipif(not NLTK.is_dir(), reason=f"needs {NLTK.name}")
def test_nltk_sample(timit):
    speakers = {"dev_speakers": "FALR0,MAEB0", "test_speakers": "FBLV0,MADD0"}
    sets = timit.prepare(data_folder=NLTK, **speakers).values()
    assert [len(m) for m in sets] == [96, 16, 16]
    minutes = [sum(e["duration"] for e in m.values()) / 60 for m in sets]
    assert sum(minutes) == pytest.approx(6.5, abs=0.05)
    speakers = [{e["spk_id"] for e in m.values()} for m in sets]
    assert [len(s) for s in speakers] == [12, 2, 2]
    phones = {p for m in sets for e in m.values() for p in e["phn"].split()}
    assert len(phones) == 39
