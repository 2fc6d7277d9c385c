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
from speechbrain_ligru_fast.asr.corpora.own import prepare_corpus
from speechbrain_ligru_fast.asr.data import make_dataset
from speechbrain_ligru_fast.recognition.tokenizer import LabelTokenizer

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


def test_what_is_heard(data, prepare, tmp_path):
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


# A file of the Kaldi folder, what becomes what in it, and what is said then
KALDI = [
    ("wav.scp", "b.flac", "sox a -t wav - |", "rec-b is 'sox a .*not run and"),
    ("wav.scp", "b.flac", "a.ark:12", "rec-b is 'a.ark:12', wanted a file"),
    ("wav.scp", "b.flac", "", "rec-b is '', wanted a file"),
    ("wav.scp", "b.flac", "c.flac", "no audio file .*c.flac"),
    ("text", "u2", "u1", "text: u1 is there twice: it's  One and two"),
    ("text", "u2 two\n", "", "u2: no transcript of"),
    ("text", "two", "", "u2: empty transcript of .*b.flac"),
    ("text", "u2", "u3", "u3: it is in text, but not in segments"),
    ("segments", " -1", "", "u2 is 'rec-b 0', wanted"),
    ("segments", "0.75 1", "0.75 x", "u1 is 'talk 0.25 0.75 x', wanted"),
    ("segments", "0.75", "x", "u1 has 'x', wanted seconds"),
    ("segments", "0.75", "nan", "u1: it is from 12000.0 to nan"),
    ("segments", "-1", "1.01", "u2: it ends 0.51 s after .*b.flac"),
    ("segments", "0 -1", "0.5 -1", "u2: it is from 8000 to"),
    ("segments", "0.75 1", "0.75 2", "u1: it is channel 2 of .*which has 2,"),
    ("segments", "rec-b", "x", "u2: its recording x isn't in wav.scp"),
    ("utt2dur", "u2 0.5", "u2 0.7", "has 0.50 s for it, its .*says 0.70"),
]
PART = '{"u": {"wav": "b.flac", "wrd": "a", %s}}'
ROW = "ID,wav,wrd\nu,b.flac,%s\nv,b.flac,b\nw,b.flac,c%s\n"
NUMBERS = "u: its start, stop, channel, duration: .*"
# A file, what is in it, and what is said then
FILES = [
    ("a.xml", "", "wanted a Kaldi data folder, SpeechBrain's .json or"),
    ("a.json", b'{"u": "\xff"}', "a.json, line 1: .* UTF-8"),
    ("a.json", '{"u": {"wrd": "a"}, "u": {}}', "a.json: u is there twice"),
    ("a.json", "[]", "a.json: .*its items, got a list"),
    ("a.json", '{"u": {"wrd": "a"}}', "u: it has no 'wav'"),
    ("a.json", '{"u": {"wav": "b.flac", "wrd": 1}}', "u: its 'wrd' is no text"),
    ("a.json", PART % '"start": 0.25', NUMBERS + "0.25, wanted whole numbers"),
    ("a.json", PART % '"duration": NaN', "its annotation says nan s"),
    ("a.csv", "", "no column ID"),
    ("a.csv", "ID,wav,text\n", "no column wrd, wanted one, got ID, wav, text"),
    ("a.csv", "ID,wav,wrd,wrd\nu,b.flac,a,b\n", "2 column wrd, wanted one"),
    ("a.csv", ROW.replace("\nv", "\nu") % ("a", ""), "a.csv: u is there twice"),
    ("a.csv", "ID,wav,wrd\nu,a\n", "u: its row has not 3 cells"),
    ("a.csv", "ID,wav,wrd,stop\nu,b.flac,a,0.5\n", NUMBERS + "0.5"),
    ("a.csv", ROW % ('"a', ""), "a.csv: 'u,b.flac,.*: unexpected end of"),
    # Closed three rows later
    ("a.csv", ROW % ('"a', '"'), "a.csv: 'u,b.flac,.*stands in quotes"),
    ("a.jsonl.gz", "{}", "a.jsonl.gz: Not a gz"),
]
# What a cut's source or recording is, or the cut has, and what is said then
COMMAND = {"type": "command", "channels": [0], "source": "x"}
SPEED = {"sources": [], "transforms": [{"name": "Speed"}]}
OTHER = {"sources": [{"type": "file", "channels": [1, 2], "source": "x"}]}
CUTS = [
    ({"type": "MixedCut"}, "cuts.jsonl: line 1: .*'MixedCut'"),
    ({"recording": {"sources": [COMMAND]}}, "its source is a command"),
    ({"recording": SPEED}, "line 1: .*Speed changes the audio"),
    ({"recording": OTHER}, "line 1: .*no file has channels .0. alone"),
    ({"supervisions": []}, "u1: its cut has 0 supervisions"),
    ({"supervisions": [{}]}, "line 1: KeyError 'duration'"),
    ({"supervisions": [{"text": 1}]}, "line 1: TypeError its text is 1"),
]


def write(path, content):
    raw = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(raw)
    return path


def refused(prepare, path, words):
    with pytest.raises((ValueError, FileNotFoundError), match=f"(?s){words}"):
        prepare(path)
    assert not (path.parent.parent / "out").exists()


@pytest.mark.parametrize("name, old, new, words", KALDI)
def test_kaldi_refused(name, old, new, words, data, prepare):
    folder = kaldi(data)
    text = (folder / name).read_text()
    assert old in text
    write(folder / name, text.replace(old, new))
    refused(prepare, folder, words)


@pytest.mark.parametrize("name, content, words", FILES)
def test_file_refused(name, content, words, data, prepare):
    refused(prepare, write(data / name, content), words)


@pytest.mark.parametrize("changes, words", CUTS)
def test_cuts_refused(changes, words, data, prepare):
    one = cut("u1", f"{data}/b.flac", (0, 0.5), 0, [0])
    refused(
        prepare, write(data / "cuts.jsonl", json.dumps(one | changes)), words
    )


def test_nothing_there_and_nothing_run(data, prepare, tmp_path):
    refused(prepare, data / "a.json", "no annotation .*a.json")
    folder = kaldi(data)
    write(folder / "wav.scp", f"u touch {tmp_path}/ran |\n")
    refused(prepare, folder, "Commands are not run")
    assert not (tmp_path / "ran").exists()
    (folder / "text").unlink()
    refused(prepare, folder, "no Kaldi data folder: there is no text")
    # What may have had the parts of recordings, and is not there now
    write(folder / "wav.scp", "u1 b.flac\n")
    write(folder / "text", "u1 one\n")
    (folder / "segments").unlink()
    (folder / "segments").symlink_to(tmp_path / "gone")
    refused(prepare, folder, "No such file .*segments")


def test_what_is_mended_is_seen(data, prepare):
    path = kaldi(data)
    assert prepare(path)["u2"]["duration"] == 0.5
    write(path / "text", "u1 ONE\nu2 TWO\n")
    assert prepare(path)["u2"]["wrd"] == "TWO"
    (path / "utt2dur").unlink()
    soundfile.write(data / "b.flac", np.zeros(16000), 16000)
    assert prepare(path)["u2"]["duration"] == 1
    # Segments may end a little late.
    write(path / "segments", "u1 talk 0.25 0.75\nu2 rec-b 0 1.03\n")
    assert prepare(path)["u2"]["wav"] == "{data_root}/b.flac"


def test_samples_written_as_floats(data, prepare):
    """As pandas writes columns of which some cells are empty."""
    rows = 'ID,wav,start,stop,wrd\nu,b.flac,800.0,1600.0,"so ""a"""\n'
    made = prepare(write(data / "a.csv", rows + "\nv,b.flac,,,b\n"))
    part = {"file": "{data_root}/b.flac", "start": 800, "stop": 1600}
    assert made["u"]["wav"] == part and made["u"]["wrd"] == 'so "a"'
    assert made["v"]["duration"] == 0.5


def test_letters(data, prepare):
    item = {"wav": "b.flac", "wrd": "E\u0301te\u0301  {x}"}
    path = write(data / "a.json", json.dumps({"u": item}))
    assert prepare(path)["u"]["wrd"] == "Été {x}"
    assert prepare(path, letter_case="lower")["u"]["wrd"] == "été {x}"
    with pytest.raises(ValueError, match="null, upper or lower, got 'UPPER'"):
        prepare(path, letter_case="UPPER")
