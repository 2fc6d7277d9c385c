"""A torchaudio that does not load: what to install, no linker error."""

import ast
import os
import pathlib

import pytest
from fresh import python

from speechbrain_ligru_fast import installed
from speechbrain_ligru_fast.installed import explanation, torchaudio_for

SYMBOL = OSError("libtorchaudio.so: undefined symbol: aoti_torch_abi")
CUDA = RuntimeError("PyTorch has CUDA version 13.2 whereas TorchAudio has 13.0")
NO_CUDA = OSError("libc10_cuda.so: cannot open shared object file")


@pytest.mark.parametrize(
    "torch, torchaudio",
    [
        ("2.7.1", "2.7.1"),
        ("2.10.0+cu128", "2.10.0"),
        ("2.11.0", "2.11.0"),
        ("2.12.1", "2.11.0"),
        ("2.13.0", "2.11.1"),
        ("2.14.1", "2.11.1"),
        ("2.15.0+cu132", "2.11.1"),
        ("2.16.0a0+gitabc", "2.11.1"),
    ],
)
def test_which_fits(torch, torchaudio):
    assert torchaudio_for(torch) == torchaudio


@pytest.mark.parametrize(
    "torch, torchaudio, error, parts",
    [
        (
            "2.11.0+cu130", "2.11.1", SYMBOL,
            ["torchaudio 2.11.1 can't be imported beside torch 2.11.0+cu130",
             "pip install torchaudio==2.11.0", "undefined symbol"],
        ),
        ("2.15.0", "2.11.0", CUDA, ["pip install torchaudio==2.11.1"]),
        (
            "2.15.0", None, ModuleNotFoundError("No module named 'torchaudio'"),
            ["none is installed", "pip install torchaudio==2.11.1"],
        ),
        ("2.15.0+cpu", "2.11.1", NO_CUDA, ["without CUDA", "CPU builds"]),
        # A build of one's own has no suffix.
        ("2.15.0", "2.11.1", NO_CUDA, ["without CUDA", "torchaudio 2.11.1"]),
        (
            "2.15.0", "2.11.1+cu132", OSError("file too short"),
            ["--force-reinstall torch==2.15.0 torchaudio==2.11.1"],
        ),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_said(torch, torchaudio, error, parts):
    message = explanation(torch, torchaudio, error)
    assert all(part in message for part in parts), message


def test_every_way_in_says_it_first():
    """Before a module's own imports of SpeechBrain fail without a word."""
    package = pathlib.Path(installed.__file__).parent
    doors = set()
    for path in package.rglob("*.py"):
        if any(name.split(".")[0] == "speechbrain" for name in top(path)):
            room = path.relative_to(package).parts[0]
            # Whatever is imported of a room, its __init__ comes first.
            door = path if room.endswith(".py") else package / room
            doors.add(door / "__init__.py" if door.is_dir() else door)
    doors.discard(package / "installed.py")
    assert len(doors) > 3
    for path in doors:
        name = "speechbrain_ligru_fast.installed"
        assert next(n for n in top(path) if "." in n) == name, path


def top(path):
    """What a module imports when it is imported, in order."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_a_torchaudio_that_does_not_load(tmp_path):
    broken = tmp_path / "torchaudio"
    broken.mkdir()
    (broken / "__init__.py").write_text(f"raise OSError({str(SYMBOL)!r})")
    # The operator does without.
    code = "from speechbrain_ligru_fast import ligru_scan\n"
    code += "from speechbrain_ligru_fast import LiGRU"
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = python(code, ok=False, PYTHONPATH=os.pathsep.join(paths))
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: SpeechBrain needs torchaudio"), last
    assert str(SYMBOL) in last
