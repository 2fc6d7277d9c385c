"""prepare_timit on a tiny corpus and on NLTK's sample of the real one."""

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from speechbrain.dataio.dataio import load_data_json, read_audio

from speechbrain_ligru_fast.asr.corpora import manifest
from speechbrain_ligru_fast.asr.corpora.timit import prepare_timit
from speechbrain_ligru_fast.asr.corpora.timit_phones import (
    FOLD_39,
    FOLD_48,
    LABELS_61,
    fold_phones,
)
from tools.demo_corpus.folders import (
    write_speaker_lists,
    write_timit_utterance,
)

REPO = Path(__file__).resolve().parents[1]
NLTK = REPO.parent / "shared" / "data" / "nltk-timit-sample"
PHONES = [(0, 800, "h#"), (800, 1500, "ix"), (1500, 1600, "q")]
PHONES += [(1600, 2400, "tcl"), (2400, 3200, "h#")]
SPEAKERS = {"TRAIN": ["FAAA0", "MBBB0"], "TEST": ["FCCC0", "MDDD0"]}


@pytest.fixture
def corpus(tmp_path):
    """Four speakers with SA1 and four more sentences each."""
    root = tmp_path / "corpus"
    signal = np.arange(3200, dtype=np.int16)
    for split, speakers in SPEAKERS.items():
        for speaker in speakers:
            for name in ("SA1", "SX1", "SX2", "SI3", "SI4"):
                words = [(800, 2400, "it")]
                folder = root / split / "DR1" / speaker
                write_timit_utterance(
                    folder, name, signal, PHONES, words, "It."
                )
    return root


@pytest.fixture
def prepare(corpus, tmp_path):
    """Call prepare_timit on the corpus; return the manifests."""
    paths = [tmp_path / "out" / f"{s}.json" for s in ("train", "valid", "test")]

    def call(**options):
        speakers = {"dev_speakers": "FCCC0", "test_speakers": ["mddd0"]}
        prepare_timit(
            **{"data_folder": corpus, **speakers, **options},
            **dict(
                zip(
                    ("train_annotation", "valid_annotation", "test_annotation"),
                    paths,
                    strict=True,
                )
            ),
        )
        return [json.loads(path.read_text()) for path in paths]

    call.paths = paths
    return call


def utterance(corpus, split="TRAIN", speaker="FAAA0", name="SX1"):
    return corpus / split / "DR1" / speaker / name


def test_manifests(prepare, corpus):
    train, valid, test = prepare()
    assert len(train) == 8 and len(valid) == 4 and len(test) == 4
    assert train["FAAA0_SX1"] == {
        "wav": "{data_root}/TRAIN/DR1/FAAA0/SX1.WAV",
        "duration": 0.2,
        "spk_id": "FAAA0",
        "phn": "sil ih sil",
        "wrd": "it",
        "ground_truth_phn_ends": "800 1500 3200",
    }
    data = load_data_json(prepare.paths[0], {"data_root": corpus})
    assert all(len(read_audio(e["wav"])) == 3200 for e in data.values())


@pytest.mark.parametrize(
    ("phn_set", "phones", "ends"),
    [
        (39, "sil ih sil", "800 1500 3200"),
        (48, "sil ix cl sil", "800 1500 2400 3200"),
        (61, "h# ix q tcl h#", "800 1500 1600 2400 3200"),
    ],
)
def test_phone_sets(prepare, phn_set, phones, ends):
    entry = prepare(phn_set=phn_set)[0]["FAAA0_SX1"]
    assert (entry["phn"], entry["ground_truth_phn_ends"]) == (phones, ends)


def test_fold_tables():
    assert len(LABELS_61) == 61
    assert len(set(FOLD_48.values()) - {""}) == 48
    assert len(set(FOLD_39.values()) - {""}) == 39
    with pytest.raises(KeyError):
        fold_phones([(0, 1, "xx")])


def test_lower_case_sphere_and_parent_folder(prepare, corpus, tmp_path):
    for path in sorted(corpus.rglob("*.*")):
        if path.suffix == ".WAV":
            signal, _ = soundfile.read(path, dtype="int16")
            sphere = path.with_name(path.name.lower())
            soundfile.write(sphere, signal, 16000, "PCM_16", format="NIST")
            assert sphere.read_bytes().startswith(b"NIST_1A")
            path.unlink()
        elif path.is_file():
            path.rename(path.with_name(path.name.lower()))
    parent = tmp_path / "parent"
    parent.mkdir()
    corpus.rename(parent / "timit")
    for split in SPEAKERS:
        (parent / "timit" / split).rename(parent / "timit" / split.lower())
    train, valid, test = prepare(data_folder=parent)
    assert [len(m) for m in (train, valid, test)] == [8, 4, 4]
    wav = train["FAAA0_sx1"]["wav"]
    assert wav == "{data_root}/timit/train/DR1/FAAA0/sx1.wav"
    assert read_audio(wav.format(data_root=parent)).shape == (3200,)
    prepare(data_folder=parent, uppercase=False)
    with pytest.raises(FileNotFoundError, match="uppercase=True"):
        prepare(data_folder=parent, uppercase=True)


def test_second_wav_of_the_same_sentence_is_left_out(prepare, corpus):
    wav = utterance(corpus).with_suffix(".WAV")
    wav.with_name("SX1.WAV.wav").write_bytes(wav.read_bytes())
    assert len(prepare()[0]) == 8


def test_speaker_lists_beside_the_corpus(prepare, corpus):
    write_speaker_lists(corpus, ["MBBB0"], ["MDDD0"])
    train, valid, test = prepare(dev_speakers=None, test_speakers=None)
    speakers = [
        {entry["spk_id"] for entry in made.values()}
        for made in (train, valid, test)
    ]
    # FCCC0 is under TEST, so never trained on.
    assert speakers == [{"FAAA0"}, {"MBBB0"}, {"MDDD0"}]


def test_nobody_left_to_train_on(prepare):
    with pytest.raises(ValueError, match="TIMIT train: no utterance found"):
        prepare(dev_speakers="FAAA0", test_speakers="MBBB0")


def test_second_call_does_nothing_until_an_argument_changes(prepare):
    prepare()
    before = [path.stat().st_mtime_ns for path in prepare.paths]
    prepare()
    assert [path.stat().st_mtime_ns for path in prepare.paths] == before
    prepare(phn_set=48)
    assert [path.stat().st_mtime_ns for path in prepare.paths] != before
    prepare.paths[1].unlink()
    prepare(phn_set=48)
    assert prepare.paths[1].is_file()


def test_what_changes_in_the_corpus_is_prepared_anew(prepare, corpus):
    before = prepare()[0]
    path = utterance(corpus).with_suffix(".PHN")
    path.write_text(path.read_text().replace("ix", "iy"))
    after = prepare()[0]
    assert after["FAAA0_SX1"]["phn"] == "sil iy sil"
    assert {k for k in before if before[k] != after[k]} == {"FAAA0_SX1"}


def test_linked_speakers_and_foreign_files(prepare, corpus, tmp_path):
    want = prepare()
    for split, speaker in (("TRAIN", "FAAA0"), ("TEST", "MDDD0")):
        place = corpus / split / "DR1" / speaker
        place.rename(tmp_path / speaker)
        (tmp_path / speaker / "._SX1.WAV").write_bytes(bytes(90))
        (tmp_path / speaker / "@eaDir").mkdir()
        (tmp_path / speaker / "@eaDir" / "SX1.WAV").mkdir()
        place.symlink_to(tmp_path / speaker)
    (corpus / "TRAIN" / ".DS_Store" / "FXXX0").mkdir(parents=True)
    (corpus / "TRAIN" / ".DS_Store" / "FXXX0" / "SX1.WAV").touch()
    assert prepare() == want


def test_byte_order_marks(prepare, corpus):
    want = prepare()
    for path in (*corpus.rglob("*.PHN"), *corpus.rglob("*.WRD")):
        path.write_bytes("\ufeff".encode() + path.read_bytes())
    write_speaker_lists(corpus, ["FCCC0"], ["MDDD0"])
    for path in corpus.glob("*.list"):
        path.write_bytes("\ufeff".encode() + path.read_bytes())
    assert prepare(dev_speakers=None, test_speakers=None) == want


def test_any_rate_and_channels(prepare, corpus, caplog):
    caplog.set_level("INFO")
    path = utterance(corpus).with_suffix(".WAV")
    soundfile.write(path, np.zeros((800, 2), np.int16), 8000, format="WAV")
    assert prepare()[0]["FAAA0_SX1"]["duration"] == 0.1
    assert "TIMIT train: 7 of 16000 Hz mono, 1 of 8000 Hz stereo" in caplog.text


def test_no_corpus_names_the_paths(prepare, tmp_path):
    (tmp_path / "empty" / "music").mkdir(parents=True)
    with pytest.raises(FileNotFoundError) as err:
        prepare(data_folder=tmp_path / "empty")
    for part in ("data_folder", "TRAIN", "TEST", "train", "test", "music"):
        assert part in str(err.value)
    assert not prepare.paths[0].parent.exists()


@pytest.mark.parametrize("lacking", ["TRAIN", "TEST"])
def test_the_half_that_lacks_is_named(prepare, corpus, lacking):
    shutil.rmtree(corpus / lacking)
    (corpus / "music").mkdir()
    words = rf"half of TIMIT .*: there is no {corpus / lacking}\. .*: T\w+, mus"
    with pytest.raises(FileNotFoundError, match=words):
        prepare()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dev_speakers": "nobody"}, "dev_speakers: nobody not found.*faaa0"),
        ({"test_speakers": None}, "test_speakers: fdhc0.*not found"),
        ({"dev_speakers": []}, "dev_speakers names no speaker"),
        ({"dev_speakers": "MDDD0"}, "share mddd0"),
        ({"phn_set": 60}, r"phn_set must be one of \(39, 48, 61\), got 60"),
        ({"max_bad_fraction": 5}, "max_bad_fraction must be in"),
    ],
)
def test_bad_option(prepare, options, message):
    with pytest.raises(ValueError, match=message):
        prepare(**options)
    assert not prepare.paths[0].parent.exists()


def test_speaker_in_two_folders(prepare, corpus):
    source = corpus / "TRAIN" / "DR1" / "FAAA0"
    target = corpus / "TRAIN" / "DR2" / "FAAA0"
    target.parent.mkdir()
    target.mkdir()
    (target / "SX9.PHN").write_bytes((source / "SX1.PHN").read_bytes())
    with pytest.raises(ValueError, match="speaker faaa0 twice"):
        prepare()


def truncate(path):
    path.write_bytes(path.read_bytes()[:20])


def empty_audio(path):
    soundfile.write(path, np.zeros(0, np.int16), 16000, format="WAV")


DAMAGE = {
    "no audio": ("WAV", Path.unlink, "no audio file"),
    "header only": ("WAV", truncate, "unreadable audio file"),
    "no bytes": ("WAV", lambda p: p.write_bytes(b""), "unreadable audio file"),
    "no samples": ("WAV", empty_audio, "empty audio file"),
    "no phones": ("PHN", Path.unlink, "no transcript"),
    "empty phones": ("PHN", lambda p: p.write_text("\n"), "empty transcript"),
    "bad line": ("PHN", lambda p: p.write_text("0 h#\n"), "the line '0 h#'"),
    "bad label": (
        "PHN",
        lambda p: p.write_text("0 5 xx\n"),
        "labels TIMIT does not: xx",
    ),
    "no words": ("WRD", Path.unlink, "no transcript"),
    "empty words": ("WRD", lambda p: p.write_text(""), "empty transcript"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_bad_utterance_is_skipped_or_fatal(prepare, corpus, caplog, kind):
    extension, damage, reason = DAMAGE[kind]
    damage(utterance(corpus).with_suffix(f".{extension}"))
    with pytest.raises(ValueError) as err:
        prepare(max_bad_fraction=0.1)
    for part in ("1 of 8", "FAAA0_SX1", reason, "max_bad_fraction=0.1"):
        assert part in str(err.value)
    assert not prepare.paths[0].parent.exists()

    caplog.clear()
    train, valid, test = prepare(max_bad_fraction=0.125)
    assert [len(m) for m in (train, valid, test)] == [7, 4, 4]
    assert "FAAA0_SX1" not in train
    assert "skipping FAAA0_SX1" in caplog.text and reason in caplog.text
    assert "skipped 1 of 8" in caplog.text


def test_a_test_set_is_whole(prepare, corpus):
    stem = utterance(corpus, "TEST", "MDDD0", "SX2")
    stem.with_suffix(".PHN").unlink()
    words = "(?s)TIMIT test: 1 of 4 .*must be whole: mend .*MDDD0_SX2: no tran"
    with pytest.raises(ValueError, match=words):
        prepare(max_bad_fraction=1)
    assert not prepare.paths[0].parent.exists()
    # As the message says.
    for path in stem.parent.glob("SX2.*"):
        path.unlink()
    assert len(prepare()[2]) == 3


def test_a_set_of_an_older_version_is_looked_at_again(prepare, corpus):
    prepare()
    marker = prepare.paths[0].with_name("timit_prepared.json")
    older = json.loads(marker.read_text())
    del older["files"]
    marker.write_text(json.dumps(older))
    utterance(corpus, "TEST", "MDDD0").with_suffix(".PHN").unlink()
    with pytest.raises(ValueError, match="a test set must be whole"):
        prepare()


def test_failure_leaves_earlier_manifests(prepare, corpus):
    before = prepare()
    utterance(corpus, "TEST", "MDDD0").with_suffix(".WAV").unlink()
    with pytest.raises(ValueError, match="TIMIT test: 1 of 4"):
        prepare(phn_set=48)
    assert [json.loads(p.read_text()) for p in prepare.paths] == before


def test_full_disk_leaves_no_part_of_a_manifest(prepare, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(manifest.os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        prepare()
    assert list(prepare.paths[0].parent.iterdir()) == []


def test_prepare_script(corpus, tmp_path, monkeypatch):
    script = REPO / "recipes" / "TIMIT" / "timit_prepare.py"
    command = f"{script} --data_folder {corpus} --save_folder {tmp_path}/made"
    command += " --dev_speakers FCCC0 --test_speakers MDDD0"
    monkeypatch.setattr("sys.argv", command.split())
    runpy.run_path(str(script), run_name="__main__")
    assert len(json.loads((tmp_path / "made/train.json").read_text())) == 8


@pytest.mark.skipif(not NLTK.is_dir(), reason=f"needs {NLTK.name}")
def test_nltk_sample(prepare):
    sets = prepare(
        data_folder=NLTK,
        dev_speakers="FALR0,MAEB0",
        test_speakers="FBLV0,MADD0",
    )
    assert [len(m) for m in sets] == [96, 16, 16]
    minutes = [sum(e["duration"] for e in m.values()) / 60 for m in sets]
    assert sum(minutes) == pytest.approx(6.5, abs=0.05)
    speakers = [{e["spk_id"] for e in m.values()} for m in sets]
    assert [len(s) for s in speakers] == [12, 2, 2]
    phones = {p for m in sets for e in m.values() for p in e["phn"].split()}
    assert phones == set(FOLD_39.values()) - {""}
