"""A tiny corpus in each layout, with what it takes to spoil and prepare it."""

import json

import numpy as np
import pytest
import soundfile

from speechbrain_ligru_fast.asr.corpora.librispeech import prepare_librispeech
from speechbrain_ligru_fast.asr.corpora.timit import prepare_timit

# A speaker's four utterances; LibriSpeech's test set is tested.
SPLITS = {"train-a": "1", "train-b": "2", "dev-x": "3", "test-x": "4"}
PHONES = "0 800 h#\n800 1500 ix\n1500 1600 q\n1600 2400 tcl\n2400 3200 h#\n"
SPEAKERS = {
    "FAAA0": "TRAIN",
    "MBBB0": "TRAIN",
    "FCCC0": "TEST",
    "MDDD0": "TEST",
}


def write_audio(path, samples=3200, rate=16000, channels=1):
    kind = "FLAC" if path.suffix == ".flac" else "WAV"
    signal = np.arange(samples * channels, dtype=np.int16).reshape(samples, -1)
    soundfile.write(path, signal, rate, format=kind)


class Corpus:
    """Manifests ``train`` (8 utterances), ``valid`` (4) and ``test`` (4)."""

    def __init__(self, folder):
        self.root, self.out = folder / "corpus", folder / "out"
        self.paths = {
            name: self.out / f"{name}.json" for name in self.manifests
        }
        self.write()

    def read(self):
        return {
            name: json.loads(path.read_text())
            for name, path in self.paths.items()
            if path.is_file()
        }


class LibriSpeech(Corpus):
    layout, manifests = "LibriSpeech", ("train", "valid", "test-x")
    # One of the training and one of the test utterances
    one, tested = "2-7-0002", "4-7-0002"
    audio, text = "train-b/2/7/2-7-0002.flac", "train-b/2/7/2-7.trans.txt"
    tested_audio = "test-x/4/7/4-7-0002.flac"
    # Folders that may be links
    folders = "train-a/1", "test-x/4/7"
    changed = "IT'S C", "IT'S X"

    def write(self):
        for split, speaker in SPLITS.items():
            chapter = self.root / split / speaker / "7"
            chapter.mkdir(parents=True)
            lines = []
            for n, letter in enumerate("ABCD"):
                key = f"{speaker}-7-{n:04d}"
                write_audio(chapter / f"{key}.flac")
                lines.append(f"{key} IT'S {letter}\n")
            (chapter / f"{speaker}-7.trans.txt").write_text("".join(lines))

    def prepare(self, **options):
        sets = {"train_splits": ["train-a", "train-b"]}
        sets |= {"dev_splits": "dev-x", "test_splits": "test-x"}
        folders = {"data_folder": self.root, "save_folder": self.out}
        prepare_librispeech(**(folders | sets | options))
        return self.read()


class Timit(Corpus):
    layout, manifests = "TIMIT", ("train", "valid", "test")
    one, tested = "MBBB0_SX2", "MDDD0_SX2"
    audio, text = "TRAIN/DR1/MBBB0/SX2.WAV", "TRAIN/DR1/MBBB0/SX2.PHN"
    words, tested_audio = "TRAIN/DR1/MBBB0/SX2.WRD", "TEST/DR1/MDDD0/SX2.WAV"
    folders = "TRAIN/DR1/FAAA0", "TEST/DR1/MDDD0"
    changed = "ix", "iy"

    def write(self):
        for speaker, split in SPEAKERS.items():
            folder = self.root / split / "DR1" / speaker
            folder.mkdir(parents=True)
            for name in ("SA1", "SX1", "SX2", "SI3", "SI4"):
                write_audio(folder / f"{name}.WAV")
                (folder / f"{name}.PHN").write_text(PHONES)
                (folder / f"{name}.WRD").write_text("800 2400 it\n")

    def prepare(self, **options):
        names = ("train_annotation", "valid_annotation", "test_annotation")
        files = dict(zip(names, self.paths.values(), strict=True))
        speakers = {"dev_speakers": "FCCC0", "test_speakers": ["mddd0"]}
        prepare_timit(
            **(files | {"data_folder": self.root} | speakers | options)
        )
        return self.read()


@pytest.fixture
def librispeech(tmp_path):
    return LibriSpeech(tmp_path)


@pytest.fixture
def timit(tmp_path):
    return Timit(tmp_path)


@pytest.fixture(params=[LibriSpeech, Timit], ids=lambda kind: kind.layout)
def corpus(request, tmp_path):
    """Either."""
    return request.param(tmp_path)
