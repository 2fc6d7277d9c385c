"""The proposals for SpeechBrain, and what checks them."""

import pathlib
import shutil

import pytest
import speechbrain
from test_structure import imports

from upstream import check
from upstream.proposals import FOLDER, Edit, Proposal, proposals

# What a checkout has beside the package, as small as the tests need it.
CONFTEST = """
import pytest

@pytest.fixture
def device():
    return "cpu"
"""
TEST_RNN = """
def test_ligru():
    import torch
    from speechbrain.nnet.RNN import LiGRU
    net = LiGRU(hidden_size=5, input_shape=(2, 4, 3), num_layers=2)
    assert net(torch.rand(2, 4, 3))[1].shape == (2, 2, 5)

def test_that_fails_anyway():
    assert False
"""
PYPROJECT = """
[tool.ruff]
line-length = 80

[tool.ruff.lint]
select = ["E", "W", "F", "I"]
ignore = ["E501", "E721"]
"""


@pytest.fixture(autouse=True)
def identity(monkeypatch):
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "A Name")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "name@example.org")


def make_checkout(folder, files):
    """A git repository of these files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "all")):
        check.git(folder, *words)
    return folder


@pytest.fixture
def installed(tmp_path):
    """The installed SpeechBrain as a checkout."""
    package = pathlib.Path(speechbrain.__file__).parent
    shutil.copytree(
        package,
        tmp_path / "speechbrain",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    files = {
        "conftest.py": CONFTEST,
        "pyproject.toml": PYPROJECT,
        "tests/unittests/test_RNN.py": TEST_RNN,
    }
    return make_checkout(tmp_path, files)


@pytest.fixture
def small(tmp_path):
    """A checkout that takes no time to test."""
    files = {
        "pyproject.toml": PYPROJECT,
        "speechbrain/__init__.py": "",
        "speechbrain/nnet/__init__.py": "",
        "speechbrain/nnet/RNN.py": "VALUE = 1\n",
        "tests/unittests/test_RNN.py": "def test_nothing():\n    pass\n",
    }
    return make_checkout(tmp_path / "checkout", files)


def branches(folder):
    return check.git(folder, "branch", "--list", "ligru/*").split()


@pytest.mark.parametrize("name", list(proposals()))
def test_a_proposal_is_sound_on_the_installed_speechbrain(
    name, installed, capsys
):
    head = check.git(installed, "rev-parse", "HEAD")
    status = check.main(["--speechbrain", str(installed), "--keep", name])
    printed = capsys.readouterr().out
    assert status == 0, printed
    assert branches(installed) == [f"ligru/{name}"]
    proposal = proposals()[name]
    changed = check.git(
        installed, "diff", "--name-only", "HEAD", f"ligru/{name}"
    )
    assert set(changed.split()) == set(proposal.changed_files)
    message = check.git(installed, "log", "-1", "--format=%B", f"ligru/{name}")
    assert message.splitlines()[0] == proposal.title
    # The checkout is as it was.
    assert check.git(installed, "rev-parse", "HEAD") == head
    assert check.git(installed, "status", "--porcelain") == ""
    assert len(check.git(installed, "worktree", "list").splitlines()) == 1


def propose(folder, test, edits):
    """A proposal of one test and these edits, as YAML."""
    folder.mkdir()
    (folder / "PULL_REQUEST.md").write_text("# A title\n\nA text.\n")
    (folder / "edits.yaml").write_text(edits)
    path = folder / "files" / "tests" / "test_it.py"
    path.parent.mkdir(parents=True)
    path.write_text(test)
    return Proposal(folder)


EDIT = """
- file: speechbrain/nnet/RNN.py
  find: 'VALUE = 1'
  replace: 'VALUE = 2'
  times: 1
"""
GOOD = """from speechbrain.nnet.RNN import VALUE


def test_value():
    assert VALUE == 2
"""


@pytest.mark.parametrize(
    "test, edits, complaint",
    [
        (GOOD, EDIT, None),
        (GOOD.replace("== 2", "> 0"), EDIT, "new tests fail without it: NO"),
        (GOOD.replace("== 2", "== 3"), EDIT, "tests and examples pass: NO"),
        (GOOD + "import os\n", EDIT, "ruff check: NO"),
        (GOOD.replace("2", " 2"), EDIT, "ruff format --check: NO"),
        (GOOD, EDIT.replace("2'", "2; syntax error'"), "pass: NO"),
        (GOOD, EDIT.replace("VALUE = 1", "VALUE = 7"), "is there 0 times"),
    ],
    ids="good useless wrong lint format syntax stale".split(),
)
def test_what_is_wrong_with_a_proposal_is_found(
    test, edits, complaint, small, tmp_path, monkeypatch, capsys
):
    proposal = propose(tmp_path / "proposal", test, edits)
    monkeypatch.setattr(check, "proposals", lambda: {"it": proposal})
    status = check.main(["--speechbrain", str(small), "--keep"])
    printed = capsys.readouterr().out
    if complaint is None:
        assert status == 0, printed
        assert branches(small) == ["ligru/proposal"]
    else:
        assert status == 1
        assert complaint in printed
        assert branches(small) == []
    assert len(check.git(small, "worktree", "list").splitlines()) == 1


def test_an_edit_that_breaks_a_test_of_speechbrain_is_found(
    small, tmp_path, monkeypatch, capsys
):
    own = small / "tests" / "unittests" / "test_RNN.py"
    own.write_text(GOOD.replace("== 2", "== 1"))
    check.git(small, "commit", "-q", "-a", "-m", "a test of the old value")
    proposal = propose(tmp_path / "proposal", GOOD, EDIT)
    monkeypatch.setattr(check, "proposals", lambda: {"it": proposal})
    assert check.main(["--speechbrain", str(small)]) == 1
    assert "tests and examples pass: NO" in capsys.readouterr().out


def test_bad_arguments_are_refused(small, tmp_path, capsys):
    def refusal(*words):
        with pytest.raises(SystemExit) as stop:
            check.main(list(words))
        assert stop.value.code == 2
        return capsys.readouterr().err

    assert "is no checkout" in refusal("--speechbrain", str(tmp_path))
    words = ("--speechbrain", str(small))
    assert "allowed are bidirectional_state" in refusal(*words, "linear")
    check.git(small, "branch", "ligru/old")
    assert "ligru/old" in refusal(*words)


def test_a_file_that_is_there_is_not_replaced(tmp_path):
    proposal = proposals()["linear_backward"]
    path = tmp_path / proposal.new_files[0]
    path.parent.mkdir(parents=True)
    path.write_text("theirs")
    with pytest.raises(ValueError, match="is there already"):
        proposal.add_files(tmp_path)
    assert path.read_text() == "theirs"


def test_an_edit_must_be_found_as_often_as_it_says():
    edit = Edit("a.py", r"w\[(\d)\]", r"v(\1)", 2)
    assert edit.apply("w[1] + w[2]") == "v(1) + v(2)"
    with pytest.raises(ValueError, match="is there 1 times, expected 2"):
        edit.apply("w[1]")


def test_every_folder_is_a_proposal():
    folders = {
        path.name
        for path in FOLDER.iterdir()
        if path.is_dir() and path.name != "__pycache__"
    }
    assert folders == set(proposals())


def test_the_tools_import_nothing_of_the_package():
    for path in FOLDER.glob("*.py"):
        for name in imports(path):
            assert name.split(".")[0] not in (
                "benchmarks",
                "speechbrain_ligru_fast",
            )
