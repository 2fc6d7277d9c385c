"""What Numba has compiled is found again, or the user is told why not."""

import errno
import logging
import os
import shutil
import subprocess
import sys

import pytest
from full_disk import on_full_disk

pytest.importorskip("numba")

from numba import types  # noqa: E402
from numba.core import caching, config  # noqa: E402
from numba.core.ccallback import CFunc  # noqa: E402

from speechbrain_ligru_fast.backends.numba import compiling  # noqa: E402

SCAN = """
import logging
import torch
from speechbrain_ligru_fast import ligru_scan
ligru_scan(torch.randn(2, 5, 8), torch.randn(8, 4), backend="numba")
print(logging.getLogger("numba").level)
"""


def test_a_second_process_compiles_nothing(tmp_path):
    """The first one says so, to whoever has set up no logging."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    found, said = [], []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", SCAN],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stdout == "0\n"
        said.append(done.stderr.count("takes some seconds"))
        found.append(
            {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nb[ci]")}
        )
    assert any(path.suffix == ".nbc" for path in found[0])
    assert found[0] == found[1]
    assert said == [1, 0]


def square(number):
    """A C function that Numba compiles in no time."""

    def function(x):
        return x * x + number

    return function


SIGNATURE = types.float64(types.float64)


def call(number=1.0):
    """Compiles or loads, calls, and says whether it was loaded."""
    found = compiling.compiled(SIGNATURE, square(number))
    assert found.ctypes(3.0) == 9.0 + number
    return bool(found._cache_hits)


@pytest.fixture
def folder(tmp_path, monkeypatch, request):
    """The cache's folder; nothing was warned of so far."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    # Nobody else may write it, nor the package, whatever this machine's say.
    source = tmp_path / "package" / "source.py"
    source.parent.mkdir(mode=0o700)
    source.touch()
    monkeypatch.setattr(compiling, "__file__", str(source))
    before = os.umask(0o022)
    request.addfinalizer(lambda: os.umask(before))
    compiling._said.clear()
    assert not call()
    (path,) = (tmp_path / "cache").iterdir()
    compiling._said.clear()
    return path


def messages(caplog):
    return [record.getMessage() for record in caplog.records]


def test_it_says_that_it_compiles_and_only_then(folder, caplog):
    assert call()
    assert not caplog.records
    assert not call(2.0) and not call(4.0)
    (message,) = messages(caplog)
    assert "takes some seconds" in message


DAMAGE = {
    "torn": lambda data: data[:-9],
    "empty": lambda data: b"",
    "flipped": lambda data: data[:-200] + bytes([data[-200] ^ 1]) + data[-199:],
}


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_compiled_again(folder, damage, suffix):
    (path,) = folder.glob(f"*.{suffix}")
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    loaded = call()
    # A bit of an index may be one that matters to nobody.
    assert not loaded or (damage, suffix) == ("flipped", "nbi")
    assert call()


def test_an_index_that_names_other_code(folder):
    """Numba writes it first: a process was killed before the code."""
    (path,) = folder.glob("*.nbc")
    old = path.read_bytes()
    for path in folder.iterdir():
        path.unlink()
    assert not call(2.0)
    (path,) = folder.glob("*.nbc")
    path.write_bytes(old)
    assert not call(2.0)
    assert call(2.0)


def test_what_an_older_version_kept(folder):
    """Numba's own entry, under the very name and key of ours."""
    for path in folder.iterdir():
        path.unlink()
    loop = CFunc(square(1.0), (SIGNATURE.args, SIGNATURE.return_type), {}, {})
    loop.enable_caching()
    loop.compile()
    assert len(list(folder.iterdir())) == 2
    assert not call()
    assert call()


def test_a_cache_that_vanishes(folder):
    shutil.rmtree(folder.parent)
    assert not call()
    assert call()


@pytest.mark.parametrize(
    "function, code",
    # Numba itself passes over one of them, on some systems.
    [("open", "EROFS"), ("open", "EACCES"), ("replace", "ENOSPC")]
    + [("no folder", "")],
)
def test_a_disk_that_takes_nothing(folder, function, code, monkeypatch, caplog):
    genuine = open

    def fail(path, mode="w", **options):
        if mode == "rb":
            return genuine(path, mode)
        raise OSError(getattr(errno, code), "as on such a disk", str(path))

    where = caching if function == "open" else os
    with monkeypatch.context() as patch:
        if function == "no folder":
            patch.setattr(caching.CacheImpl, "_locator_classes", [])
        else:
            patch.setattr(where, function, fail, raising=False)
        for number in (2.0, 2.0, 4.0):
            assert not call(number)
    said = [m for m in messages(caplog) if "anew in every process" in m]
    assert len(said) == 1 and "NUMBA_CACHE_DIR" in said[0]
    assert len(caplog.records) == 1 + (function != "no folder")
    assert not call(2.0) and call(2.0)
    assert not list(folder.glob("*.tmp.*"))


def test_an_entry_that_may_not_be_read(folder, monkeypatch):
    genuine = open

    def fail(path, mode="r", **options):
        if str(path).endswith(".nbi"):
            raise PermissionError(errno.EACCES, "not yours")
        return genuine(path, mode, **options)

    monkeypatch.setattr(caching, "open", fail, raising=False)
    assert not call()


def test_a_quota_that_is_full(folder, caplog):
    def compile_and_call():
        assert not call(2.0) and not call(2.0)
        assert "File too large" in caplog.text
        assert not list(folder.glob("*.tmp.*"))

    on_full_disk(compile_and_call, 200)
    assert not call(2.0) and call(2.0)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners here")
@pytest.mark.parametrize("change", ["anybody", "another"])
def test_code_of_others_is_not_run(folder, change, monkeypatch, caplog):
    if change == "anybody":
        folder.chmod(0o777)
    else:
        genuine = os.stat

        def stat(path, **options):
            found = genuine(path, **options)
            if str(path) != str(folder):
                return found
            return os.stat_result([*found[:4], 12345678, *found[5:10]])

        monkeypatch.setattr(os, "stat", stat)
    before = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert not call() and not call()
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == before
    said = [m for m in messages(caplog) if "other users can write" in m]
    assert len(said) == 1 and str(folder) in said[0]
    # Its mode is its owner's to set.
    if change == "anybody":
        assert folder.stat().st_mode & 0o777 == 0o777


def test_a_users_own_group_may_write(folder):
    """As with umask 002, where every user has a group."""
    folder.chmod(0o775)
    assert call()


@pytest.mark.parametrize("level", [logging.NOTSET, logging.DEBUG])
def test_numbas_logger_is_left_as_it_is(folder, level, caplog):
    numbas = logging.getLogger("numba")
    with caplog.at_level(logging.DEBUG), caplog.at_level(level, "numba"):
        assert not call(2.0)
        assert numbas.level == level
    lines = [r for r in caplog.records if r.name.startswith("numba")]
    # Who gave it a level gets what was asked for.
    assert bool(lines) == (level == logging.DEBUG)


def test_a_package_that_anybody_may_write(folder, monkeypatch):
    """Whoever can change its source needs no cache for it."""
    monkeypatch.setattr(compiling, "_others_can_write", lambda path: True)
    assert call()
