"""A folder's YAML runs nothing that our exports do not name."""

import re
import shutil
from pathlib import Path

import pytest

from speechbrain_ligru_fast.asr.config import resolved
from speechbrain_ligru_fast.asr.lm import load_lm
from speechbrain_ligru_fast.deploy.export import _document
from speechbrain_ligru_fast.deploy.transcribe import load_recognizer, main
from speechbrain_ligru_fast.deploy.trust import check_yaml

HPARAMS = Path(__file__).parents[2] / "hparams"
SYSTEMS = [
    path
    for path in sorted(HPARAMS.glob("*/*.yaml"))
    if not path.stem.startswith("lm") and path.parent.name != "hybrid"
]
FAST = "speechbrain_ligru_fast"
CALL = "!apply:os.mkdir [called]"


@pytest.mark.parametrize("path", SYSTEMS, ids=lambda path: path.stem)
def test_every_export_is_trusted(tmp_path, path):
    hparams = {"document": resolved(path.read_text(), "data_folder: x")}
    hparams |= {"sample_rate": 16000}
    document = _document(hparams, ["normalize", "enc"])
    assert "Pretrainer" in document and f"!name:{FAST}" in document
    exported = tmp_path / "hyperparams.yaml"
    for rnn in ("LiGRU", "asr.padded.LSTM", "GRU"):
        name = f"!name:{FAST if rnn != 'GRU' else 'speechbrain.nnet.RNN'}.{rnn}"
        exported.write_text(re.sub(f"!name:{FAST}.S?LiGRU", name, document))
        assert name in exported.read_text()
        check_yaml(exported, "")


@pytest.mark.parametrize(
    "line, name",
    [
        (f"a: {CALL}", "os.mkdir"),
        (f"a: {{b: [{CALL}]}}", "os.mkdir"),
        (f"? {CALL}\n: a", "os.mkdir"),
        ("a: !apply:torch.nn.ReLU\n   inplace: !apply:os.getcwd", "os.getcwd"),
        ("a: !name:os.getcwd", "os.getcwd"),
        ("a: !new:collections.Counter", "collections.Counter"),
        ("a: !new%3Acollections.Counter", "collections.Counter"),
        ("a: !applyref:os.getcwd", "!applyref:os.getcwd"),
        ("a: !module:os", "!module:os"),
        ("a: !include:other.yaml", "!include:other.yaml"),
        ("a: !!python/name:os.getcwd", "python/name:os.getcwd"),
        ("a: !!python/object/apply:os.getcwd []", "object/apply:os.getcwd"),
        ("a: !<!name:os.getcwd> ''", "os.getcwd"),
        # What our modules have imported is not theirs.
        ("a: !name:torch.nn.functional.os.getcwd", "torch.nn.functional.os"),
        ("a: !name:speechbrain_ligru_fast.lobe.CRDNN.x", "lobe.CRDNN.x"),
        (
            "a: !new:speechbrain.utils.parameter_transfer.Pretrainer\n"
            "   paths: {enc: elsewhere}",
            "Pretrainer's paths",
        ),
        (
            "a: !new:speechbrain.utils.parameter_transfer.Pretrainer [x, {}]",
            "Pretrainer without its names",
        ),
    ],
)
def test_what_else_a_yaml_names_is_not_run(tmp_path, monkeypatch, line, name):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hyperparams.yaml"
    path.write_text(f"b: 1\n{line}\n")
    (tmp_path / "other.yaml").write_text(f"a: {CALL}\n")
    with pytest.raises(ValueError, match="names .*, which no export does") as e:
        check_yaml(path, "")
    assert name in str(e.value)
    assert not (tmp_path / "called").exists()


def test_the_transcriber_and_language_models(
    trained_librispeech, librispeech, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "export"
    shutil.copytree(trained_librispeech / "export", folder)
    audio = str(next(librispeech.rglob("3-1-0001.flac")))
    command = [str(folder), audio]
    assert main(command) == 0
    with open(folder / "hyperparams.yaml", "a") as file:
        file.write(f"more: {CALL}\n")
    assert main(command) == 1
    assert "names os.mkdir, which no export does" in capsys.readouterr().err
    assert not (tmp_path / "called").exists()
    load_recognizer(folder, trust=True)
    assert (tmp_path / "called").exists()

    for name in ("lm.ckpt", "tokenizer.model"):
        (tmp_path / name).touch()
    (tmp_path / "lm.yaml").write_text(f"model: {CALL}\n")
    with pytest.raises(ValueError, match="names os.mkdir.*trust: True below"):
        load_lm(tmp_path)
