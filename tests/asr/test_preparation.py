"""A preparation writes what this run reads, and spoils nothing else's."""

import pytest

from speechbrain_ligru_fast.asr.preparation import (
    manifest_folder,
    manifest_path,
    prepare,
)


@pytest.fixture
def hparams(tmp_path):
    found = {"output_folder": str(tmp_path), "skip_prep": False}
    return found | {"save_folder": tmp_path / "save", "tests_only": True}


def test_a_test_prepares_elsewhere(hparams, tmp_path):
    paths = [tmp_path / "save/test.json", "/mine/test.json"]
    assert manifest_folder(hparams) == str(tmp_path / "test_only")
    found = [manifest_path(hparams, path) for path in paths]
    assert found == [str(tmp_path / "test_only/test.json"), "/mine/test.json"]
    for change in ({"skip_prep": True}, {"tests_only": False}):
        found = [manifest_path(hparams | change, path) for path in paths]
        assert found == [str(path) for path in paths]


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "train", None])
def test_a_test_set_is_in_the_data_folder(hparams, name):
    tests = [] if name is None else [name]
    with pytest.raises(ValueError, match="test_splits: got .*, expected "):
        prepare(hparams, None, {}, tests)
