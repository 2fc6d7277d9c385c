"""Corpora of one's own, described by SpeechBrain's, Kaldi's or lhotse's."""

import csv
import gzip
import json

import numpy as np
import pytest
import soundfile
import speechbrain as sb
import torch

from speechbrain_ligru_fast.asr.audio import AudioReader
from speechbrain_ligru_fast.asr.corpora.own import (
    claim_annotations,
    prepare_corpus,
)
from speechbrain_ligru_fast.asr.data import make_dataset
from speechbrain_ligru_fast.asr.tokenizer import LabelTokenizer

RATE = 48000


@pytest.fixture
def data(tmp_path):
    """Two utterances: channel 1 of a part of a stereo file, and a file."""
    folder = tmp_path / "data"
    folder.mkdir()
    noise = np.random.default_rng(0).normal(size=(RATE, 2)) / 9
    soundfile.write(folder / "talk 1.wav", noise, RATE, "FLOAT")
    soundfile.write(folder / "b.flac", noise[:8000, 0], 16000)
    return folder


def kaldi(data):
    folder = data / "kaldi"
    folder.mkdir()
    files = {
        "wav.scp": f"talk {data}/talk 1.wav\nrec-b b.flac\n",
        "segments": "u1 talk 0.25 0.75 1\nu2 rec-b 0 -1\n",
        "text": "u1 it's  One\nu2 two\n",
        "utt2spk": "u1 ann\nu2 bob\n",
        "utt2dur": "u1 0.5\nu2 0.5\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def speechbrain_json(data):
    path = data / "set.json"
    part = {"file": "{data_root}/talk 1.wav", "start": 12000, "stop": 36000}
    items = {
        "u1": {"wav": part | {"channel": 1}, "wrd": "it's  One"},
        "u2": {"wav": "b.flac", "wrd": "two", "duration": 0.5},
    }
    items["u1"]["spk_id"], items["u2"]["spk_id"] = "ann", "bob"
    path.write_text("\ufeff" + json.dumps(items))
    return path


def speechbrain_csv(data):
    path = data / "set.csv"
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        rows = csv.writer(file)
        names = "ID duration wav start stop channel spk_id wrd".split()
        rows.writerow(names)
        wav = "$data_root/talk 1.wav"
        rows.writerow(["u1", 0.5, wav, 12000, 36000, 1, "ann", "it's One"])
        rows.writerow(["u2", 0.5, "b.flac", "", "", "", "bob", " two"])
    return path


def cut(key, file, span, channel, channels):
    start, duration = span
    text, speaker = {"u1": ("it's One", "ann"), "u2": ("two", "bob")}[key]
    heard = {"start": 0.0, "duration": duration, "channel": channel}
    return {
        **{"id": key, "start": start, "duration": duration},
        **{"channel": channel, "type": "MonoCut"},
        "supervisions": [heard | {"text": text, "speaker": speaker}],
        "recording": {
            "sources": [{"type": "file", "channels": channels, "source": file}]
        },
    }


def lhotse(data):
    path = data / "cuts.jsonl.gz"
    cuts = [
        cut("u1", f"{data}/talk 1.wav", (0.25, 0.5), 1, [0, 1]),
        cut("u2", "b.flac", (0, 0.5), 0, [0]),
    ]
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(one) + "\n" for one in cuts)
    return path


FORMS = (kaldi, speechbrain_json, speechbrain_csv, lhotse)


@pytest.fixture
def prepare(data, tmp_path):
    """Prepare one annotation as a test set; return its manifest."""

    def call(path, **options):
        out = tmp_path / "out"
        prepare_corpus({"mine": path}, data, out, [], [], "no-split", **options)
        return json.loads((out / "mine.json").read_text())

    return call


@pytest.mark.parametrize("form", FORMS)
def test_forms(form, data, prepare):
    made = prepare(form(data))
    part = {"start": 12000, "stop": 36000, "channel": 1}
    assert made == {
        "u1": {
            "wav": {"file": "{data_root}/talk 1.wav", **part},
            "duration": 0.5,
            "spk_id": "ann",
            "wrd": "it's One",
        },
        "u2": {
            "wav": "{data_root}/b.flac",
            "duration": 0.5,
            "spk_id": "bob",
            "wrd": "two",
        },
    }


def test_what_is_heard(data, prepare, tmp_path, caplog):
    caplog.set_level("INFO")
    prepare(kaldi(data), letter_case="upper")
    hparams = {
        **{"data_folder": data, "text": "wrd", "sample_rate": 16000},
        **{"tokenizer": LabelTokenizer(["IT'S", "ONE", "TWO"])},
        **{"bos_index": 1, "eos_index": 2},
    }
    dataset = make_dataset(tmp_path / "out/mine.json", hparams, sb.Stage.TEST)
    items = {item["id"]: item for item in dataset}
    assert items["u1"]["text"] == "IT'S ONE"
    assert items["u1"]["tokens"].tolist() == [3, 4]
    noise = soundfile.read(data / "talk 1.wav", dtype="float32")[0]
    part = tmp_path / "part.wav"
    soundfile.write(part, noise[12000:36000, 1], RATE, "FLOAT")
    assert items["u1"]["sig"].shape == (8000,)
    assert torch.equal(items["u1"]["sig"], AudioReader(16000)(str(part)))
    assert "1 of 48000 Hz stereo, 1 of 16000 Hz mono" in caplog.text


def change(name, old, new):
    def edit(data):
        folder = kaldi(data)
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))
        return folder

    return edit


def remove(name):
    def edit(data):
        (kaldi(data) / name).unlink()
        return data / "kaldi"

    return edit


def write(name, content):
    def edit(data):
        (data / name).write_bytes(content)
        return data / name

    return edit


def edited_cut(**changes):
    def edit(data):
        one = cut("u1", f"{data}/b.flac", (0, 0.5), 0, [0])
        path = data / "cuts.jsonl"
        path.write_text(json.dumps(one | changes) + "\n")
        return path

    return edit


def source(kind="file", **more):
    one = {"type": kind, "channels": [0], "source": "x"}
    return {"recording": {"sources": [one], **more}}


SET = b'{"u": {"wav": "b.flac", "wrd": "a"}, "u": {}}'
ROWS = b"ID,wav,wrd\nu,b.flac,a\nu,b.flac,b\n"
OPEN = b'ID,wav,wrd\nu,b.flac,"a\nv,b.flac,b\nw,b.flac,c%s\n'
NOT_FINITE = b'{"u": {"wav": "b.flac", "duration": NaN, "wrd": "a"}}'
SECONDS = b'{"u": {"wav": "b.flac", "start": 0.25, "stop": 0.5, "wrd": "a"}}'
BAD = {
    "pipe": (
        change("wav.scp", "b.flac", "sox a -t wav - |"),
        "rec-b is 'sox a -t wav - .', wanted a file. Comm",
    ),
    "archive": (
        change("wav.scp", "b.flac", "a.ark:12"),
        "rec-b is 'a.ark:12', wanted a file",
    ),
    "no text": (remove("text"), "no Kaldi data folder: there is no text"),
    "twice": (
        change("text", "u2", "u1"),
        "text: u1 is there twice: it's  One and two",
    ),
    "bytes": (write("a.json", b'{"u": "\xff"}'), "a.json, line 1: .* UTF-8"),
    "segment": (change("segments", " -1", ""), "u2 is 'rec-b 0', wanted"),
    "seconds": (change("segments", "0.75", "x"), "u1 has 'x', wanted sec"),
    "end": (change("segments", "-1", "1.01"), "u2: it ends 0.51 s after .*b.f"),
    "start": (change("segments", "0 -1", "0.5 -1"), "u2: it is from 8000 to"),
    "channel": (change("segments", "0.75 1", "0.75 2"), "u1: it is channel 2"),
    "recording": (change("segments", "rec-b", "x"), "recording x isn't in wav"),
    "no transcript": (change("text", "u2 two\n", ""), "u2: no transcript of"),
    "empty": (change("text", "two", ""), "u2: empty transcript of .*b.flac"),
    "no audio": (change("wav.scp", "b.flac", "c.flac"), "no audio file .*c.fl"),
    "unheard": (
        change("text", "u2", "u3"),
        "u3: it is in text, but not in se",
    ),
    "duration": (change("utt2dur", "u2 0.5", "u2 0.7"), "annotation says 0.70"),
    "not finite": (
        change("segments", "0.75", "nan"),
        "it is from 12000.0 to n",
    ),
    "no duration": (write("a.json", NOT_FINITE), "its annotation says nan s"),
    "kind": (write("a.xml", b""), "wanted a Kaldi data folder, SpeechBr"),
    "json twice": (write("a.json", SET), "a.json: u is there twice"),
    "json list": (write("a.json", b"[]"), "its items, got a list"),
    "no wav": (write("a.json", b'{"u": {"wrd": "a"}}'), "u: it has no 'wav'"),
    "csv twice": (write("a.csv", ROWS), "a.csv: u is there twice"),
    "column": (
        write("a.csv", b"ID,wav,text\n"),
        "no column wrd, wanted one, got ID, wav",
    ),
    "cells": (write("a.csv", b"ID,wav,wrd\nu,a\n"), "u: its row has not 3 ce"),
    "number": (
        write("a.csv", b"ID,wav,start,wrd\nu,b.flac,0.5,a\n"),
        "u: its start, stop, channel, duration: .*0.5",
    ),
    "seconds of a part": (
        write("a.json", SECONDS),
        "u: its start, stop, channel, duration: 0.25, wanted whole numbers",
    ),
    "quote": (
        write("a.csv", OPEN % b""),
        "'u,b.flac,\"a': unexpected end of data",
    ),
    "quotes": (
        write("a.csv", OPEN % b'"'),
        "'u,b.flac,\"a': unexpected end of data. A text that begins",
    ),
    "text twice": (
        write("a.csv", b"ID,wav,wrd,wrd\nu,b.flac,a,b\n"),
        "a.csv: 2 column wrd, wanted one, got ID, wav, wrd, wrd",
    ),
    "mixed": (
        edited_cut(type="MixedCut"),
        "cuts.jsonl: line 1: .*'MixedCut'",
    ),
    "command": (
        edited_cut(**source("command")),
        "its source is a command: write it to",
    ),
    "perturbed": (
        edited_cut(**source(transforms=[{"name": "Speed"}])),
        "Speed changes the audio",
    ),
    "several": (edited_cut(supervisions=[]), "u1: its cut has 0 supervisions"),
    "no length": (edited_cut(supervisions=[{}]), "KeyError 'duration'"),
    "gz": (write("a.jsonl.gz", b"{}"), "a.jsonl.gz: Not a gz"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_wrong_is_named(kind, data, prepare, tmp_path):
    damage, words = BAD[kind]
    with pytest.raises((ValueError, FileNotFoundError), match=f"(?s){words}"):
        prepare(damage(data))
    assert not (tmp_path / "out").exists()


def test_a_command_is_not_run(data, prepare, tmp_path):
    ran = tmp_path / "ran"
    with pytest.raises(ValueError, match="Commands are not run"):
        prepare(change("wav.scp", "b.flac", f"touch {ran} |")(data))
    assert not ran.exists()


def test_what_is_mended_is_seen(data, prepare):
    path = kaldi(data)
    assert prepare(path)["u2"]["duration"] == 0.5
    (path / "text").write_text("u1 ONE\nu2 TWO\n")
    assert prepare(path)["u2"]["wrd"] == "TWO"
    (path / "utt2dur").unlink()
    soundfile.write(data / "b.flac", np.zeros(16000), 16000)
    assert prepare(path)["u2"]["duration"] == 1


def test_segments_may_end_a_little_late(data, prepare):
    made = prepare(change("segments", "-1", "0.53")(data))
    assert made["u2"]["wav"] == "{data_root}/b.flac"


def test_samples_written_as_floats(data, prepare):
    """As pandas writes columns of which some cells are empty."""
    rows = b'ID,wav,start,stop,wrd\nu,b.flac,800.0,1600.0,"so ""a"""\n'
    made = prepare(write("a.csv", rows + b"\nv,b.flac,,,b\n")(data))
    part = {"file": "{data_root}/b.flac", "start": 800, "stop": 1600}
    assert made["u"]["wav"] == part and made["u"]["wrd"] == 'so "a"'
    assert made["v"]["duration"] == 0.5


def test_letters(data, prepare):
    item = {"wav": "b.flac", "wrd": "E\u0301te\u0301  {x}"}
    path = write("a.json", json.dumps({"u": item}).encode())(data)
    assert prepare(path)["u"]["wrd"] == "Été {x}"
    assert prepare(path, letter_case="lower")["u"]["wrd"] == "été {x}"
    with pytest.raises(ValueError, match="null, upper or lower, got 'UPPER'"):
        prepare(path, letter_case="UPPER")


@pytest.mark.parametrize(
    "tests", [{"eval/clean": "a"}, {"train": "a"}, {".a": "a"}, "a.json", None]
)
def test_names_of_test_sets(tests):
    hparams = {"test_annotations": tests, "skip_prep": False}
    with pytest.raises(ValueError, match="test_annotations: got .* expected"):
        claim_annotations(hparams)
