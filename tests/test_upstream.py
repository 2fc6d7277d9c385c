"""The proposals for SpeechBrain, applied to the installed one."""

import pathlib
import shutil

import pytest
import speechbrain

from upstream import apply

NAMES = sorted(path.name for path in apply.FOLDER.glob("*/"))
NAMES = [name for name in NAMES if not name.startswith("_")]
# What a checkout has beside the package, as small as the tests need it.
CONFTEST = """
import pytest

@pytest.fixture
def device():
    return "cpu"
"""
PYPROJECT = """
[tool.ruff]
line-length = 80
lint.select = ["E", "W", "F", "I"]
lint.ignore = ["E501", "E721"]
"""
TEST_RNN = """
def test_ligru():
    import torch
    from speechbrain.nnet.RNN import LiGRU
    assert LiGRU(5, (2, 4, 3))(torch.rand(2, 4, 3))[1].shape == (1, 2, 5)

def test_that_fails_anyway():
    assert False
"""


@pytest.fixture
def checkout(tmp_path):
    shutil.copytree(
        pathlib.Path(speechbrain.__file__).parent,
        tmp_path / "speechbrain",
        ignore=shutil.ignore_patterns("__pycache__", "integrations"),
    )
    (tmp_path / "speechbrain/integrations").mkdir()
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "tests/unittests").mkdir(parents=True)
    (tmp_path / "tests/unittests/test_RNN.py").write_text(TEST_RNN)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_is_sound(name, checkout):
    title = (
        (apply.FOLDER / name / "PULL_REQUEST.md").read_text().partition("\n")
    )
    assert title[0].startswith("# ")
    assert apply.main(name, checkout) == ""
    # It is there now, and SpeechBrain has moved on.
    with pytest.raises((ValueError, shutil.Error), match="not 2|exists"):
        apply.main(name, checkout)


GOOD = "from speechbrain.nnet.RNN import VALUE\n\n\ndef test_it():\n"
GOOD += "    assert VALUE == 2\n"


@pytest.mark.parametrize(
    "test, complaint",
    [
        (GOOD, ""),
        (GOOD.replace("== 2", "> 0"), "pass without it"),
        (GOOD.replace("== 2", "== 3"), "::test_it"),
        (GOOD.replace("VALUE\n", "VALUE, OLD\n"), "F401"),
    ],
    ids="good useless wrong lint".split(),
)
def test_what_is_wrong_is_found(test, complaint, tmp_path, monkeypatch):
    for path, text in (
        ("tree/pyproject.toml", PYPROJECT),
        ("tree/speechbrain/__init__.py", ""),
        ("tree/speechbrain/nnet/__init__.py", ""),
        (f"tree/{apply.RNN}", "OLD = 1\nVALUE = 1\nVALUE = 1\n"),
        ("tree/tests/unittests/test_RNN.py", "def test():\n    pass\n"),
        ("it/tests/test_it.py", test),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.setattr(apply, "FOLDER", tmp_path)
    monkeypatch.setitem(apply.EDITS, "it", [("VALUE = 1", "VALUE = 2")])
    found = apply.main("it", tmp_path / "tree")
    assert complaint in found and bool(found) == bool(complaint)
