"""A preparation writes what this run reads, and spoils nothing else's."""

import pytest

from speechbrain_ligru_fast.asr.preparation import (
    claim_annotations,
    manifest_folder,
    manifest_path,
    prepare,
)
from speechbrain_ligru_fast.asr.preparation import (
    test_manifests as manifests_of_tests,
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


@pytest.mark.parametrize(
    "tests", [{"eval/clean": "a"}, {"train": "a"}, {".a": "a"}, "a.json", None]
)
def test_names_of_test_sets(tests):
    hparams = {"test_annotations": tests, "skip_prep": False}
    with pytest.raises(ValueError, match="test_annotations: got .* expected"):
        claim_annotations(hparams)


def test_whose_annotations_they_are():
    """Those in save_folder are written there, the others are the user's."""
    hparams = {"save_folder": "out/save", "skip_prep": False}
    hparams |= {"tests_only": False, "test_splits": "a,b"}
    hparams |= {"train_annotation": "my/train.csv"}
    hparams |= {"valid_annotation": "out/save/valid.json"}
    tests_only = hparams | {"tests_only": True, "test_annotations": {}}
    hparams |= {"test_annotations": {"mine": "my/test.csv"}}
    written = hparams | {"skip_prep": True}
    own = claim_annotations(hparams)
    assert own == {"train": "my/train.csv", "mine": "my/test.csv"}
    assert hparams["train_annotation"] == "out/save/train.json"
    assert manifests_of_tests(hparams, "to") == {"mine": "to/mine.json"}
    # A test needs no training data.
    assert claim_annotations(tests_only) == {}
    tests = manifests_of_tests(tests_only, "to")
    assert tests == {"a": "to/a.json", "b": "to/b.json"}
    assert claim_annotations(written) == {}
    assert written["train_annotation"] == "my/train.csv"
    assert manifests_of_tests(written, "to") == {"mine": "my/test.csv"}
