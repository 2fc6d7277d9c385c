"""YAML files of earlier versions name what has moved since."""

import re
import shutil

import speechbrain_ligru_fast.recognition as here
from speechbrain_ligru_fast.deploy.transcribe import load_recognizer
from speechbrain_ligru_fast.training.fingerprint import read_settings

# Where it is, and where it was
NAMES = f"{here.__name__}.", "speechbrain_ligru_fast.asr."


def test_an_export_of_earlier(trained_librispeech, librispeech, tmp_path):
    folder = shutil.copytree(trained_librispeech / "export", tmp_path / "then")
    path = next(librispeech.rglob("*.flac"))
    want = load_recognizer(folder).transcribe_file(str(path))
    yaml = folder / "hyperparams.yaml"
    text = yaml.read_text()
    found = set(re.findall(rf"{NAMES[0]}(\w+)", text))
    assert found == {"decoding", "encoding", "features", "search"}
    yaml.write_text(text.replace(*NAMES))
    assert load_recognizer(folder).transcribe_file(str(path)) == want


def test_settings_of_earlier():
    now = f"a: !new:{NAMES[0]}features.Fbank\n"
    assert read_settings(now) == read_settings(now.replace(*NAMES))
