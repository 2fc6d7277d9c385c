"""A preparation writes what this run reads, and spoils nothing else's."""

import json
from pathlib import Path

import pytest

from speechbrain_ligru_fast.asr.checkpoints import AtomicCheckpointer
from speechbrain_ligru_fast.asr.fingerprint import Fingerprint
from speechbrain_ligru_fast.asr.preparation import (
    manifest_folder,
    manifest_path,
    prepare,
)


@pytest.fixture
def hparams(tmp_path):
    save = tmp_path / "save"
    found = {"output_folder": str(tmp_path), "save_folder": str(save)}
    found |= {"tests_only": False, "trains_in_folder": True, "text": "wrd"}
    found |= {"train_annotation": save / "train.json", "skip_prep": False}
    found |= {"valid_annotation": tmp_path / "mine.json"}
    return found | {"fingerprint": Fingerprint({"lr": "1"})}


def write(hparams, **texts):
    """Writes both manifests, and a file that there was not before."""
    for key, text in texts.items():
        path = Path(hparams[f"{key}_annotation"])
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"a": {"wrd": text, "duration": 1}}))
        (path.parent / f"{text}.json").write_text("{}")


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*.json")}


def test_a_refused_preparation_is_undone(hparams, tmp_path):
    def run(**texts):
        hparams["fingerprint"] = Fingerprint({"lr": "1"})
        texts = {"hparams": hparams, "train": "ONE", "valid": "TWO"} | texts
        prepare(hparams, write, texts, ["test"])
        AtomicCheckpointer(
            hparams["save_folder"], {"fingerprint": hparams["fingerprint"]}
        ).save_checkpoint()

    run()
    before = contents(tmp_path)
    for key in ("train", "valid"):
        with pytest.raises(ValueError, match=f"with other {key}_manifest. Giv"):
            run(**{key: "SIX"})
        # What the preparation itself left in save_folder is gone; the user's
        # own file is as it was.
        after = contents(tmp_path)
        after.pop(tmp_path / "SIX.json", None)
        assert after == before
    hparams["allow_changes"] = True
    run(train="SIX")
    assert "train_manifest: " in hparams["fingerprint"].changes
    assert contents(tmp_path) != before


def test_a_test_prepares_elsewhere(hparams, tmp_path):
    paths = [tmp_path / "save/test.json", "/mine/test.json"]
    hparams["tests_only"] = True
    assert manifest_folder(hparams) == str(tmp_path / "test_only")
    found = [manifest_path(hparams, path) for path in paths]
    assert found == [str(tmp_path / "test_only/test.json"), "/mine/test.json"]
    for change in ({"skip_prep": True}, {"tests_only": False}):
        found = [manifest_path(hparams | change, path) for path in paths]
        assert found == [str(path) for path in paths]


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "train", None])
def test_a_test_set_is_in_the_data_folder(hparams, name):
    hparams["tests_only"] = True
    tests = [] if name is None else [name]
    with pytest.raises(ValueError, match="test_splits: got .*, expected "):
        prepare(hparams, None, {}, tests)
