"""The folder of what is kept: whose it is, and what is read from it.

What any cache of compiled code is tested for stands in test_caches.py.
"""

import hashlib
import os
import shutil
import stat

import caches
import pytest

from speechbrain_ligru_fast import kept
from speechbrain_ligru_fast.backends.cuda import build


@pytest.fixture
def cache(tmp_path, monkeypatch):
    return caches.begin(caches.Cubins, tmp_path, monkeypatch)


def test_what_a_cubin_is_of(cache, put):
    """An architecture, macros, a source and a compiler."""
    assert not cache.loads(arch="sm_80") and not cache.loads(2)
    assert cache.loads(arch="sm_80") and cache.loads(2) and cache.loads()
    assert {path.suffix for path in cache.folder.iterdir()} == {".cubin"}
    put(build, compiler_version=lambda: "0.0")
    assert not cache.loads()
    put(build, source=lambda backward: "other")
    assert not cache.loads()


def test_what_an_older_version_kept(cache):
    """Version 1 hashed the content alone."""
    (path,) = cache.folder.iterdir()
    digest = hashlib.sha256(b"cubin 1").digest()
    path.write_bytes(b"ligru-cubin-1\n" + digest + b"cubin 1")
    assert not cache.loads()


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/none"])
def test_no_folder_no_cache(cache, monkeypatch, tmp_path, said, place):
    (tmp_path / "file").write_text("")
    place = str(tmp_path / place)
    monkeypatch.setenv(cache.variable, place)
    assert not cache.loads() and not cache.loads()
    assert f"{cache.variable} to a folder" in said() and place in said()


@pytest.mark.parametrize("mode", [0o1777, 0o2775, 0o700])
def test_a_shared_folder_keeps_its_mode(cache, mode, caplog):
    """Each user has a folder of their own in it."""
    shared = cache.folder.parent
    shutil.rmtree(cache.folder)
    shared.chmod(mode)
    assert not cache.loads() and cache.loads()
    assert not caplog.records
    assert stat.S_IMODE(shared.stat().st_mode) == mode
    (own,) = shared.iterdir()
    assert own == kept.folder() and str(os.getuid()) in own.name
    assert stat.S_IMODE(own.stat().st_mode) & 0o777 == 0o700


def spoil(path, how, elsewhere):
    """Others may write a file or folder, or something else stands there."""
    if isinstance(how, int):
        path.chmod(how)
        return
    path.rename(elsewhere)
    {
        "link": lambda: path.symlink_to(elsewhere),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "file": path.touch,
    }[how]()


@pytest.mark.parametrize("how", [0o720, "link", "file"])
def test_nothing_is_loaded_where_others_write(cache, tmp_path, how, said):
    """It is said, and the folder is left as it was."""
    spoil(cache.folder, how, tmp_path / "elsewhere")
    before = cache.folder.lstat()
    assert not cache.loads() and not cache.loads()
    assert cache.folder.lstat()[:7] == before[:7]
    assert f"{cache.folder} {cache.unsafe}" in said()


@pytest.mark.parametrize("how", [0o666, "link", "pipe", "folder"])
def test_an_entry_that_others_could_write(cache, how, tmp_path):
    (path,) = cache.folder.iterdir()
    spoil(path, how, tmp_path / "elsewhere")
    assert not cache.loads()


def test_a_disk_that_lets_nothing_go(cache, put):
    """A file that was begun and can't be removed is no error."""

    def fail(*args):
        raise OSError("as on a read-only disk")

    put(os, replace=fail, unlink=fail)
    assert not cache.loads(2)


@pytest.mark.parametrize("named", [None, "", "~/named"])
def test_the_folder_of_who_names_none(monkeypatch, tmp_path, named):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv(caches.Cubins.variable, raising=False)
    if named is not None:
        monkeypatch.setenv(caches.Cubins.variable, named)
    place = "named" if named else ".cache/speechbrain_ligru_fast"
    assert kept.folder() == tmp_path / place / f"cubins-{os.getuid()}"


def test_who_has_no_folder(cache, monkeypatch, put, tmp_path, said):
    """A container's user, whose number no file names: no folder called ~.

    And Windows tells no user's number: no folder is known to be safe.
    """
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with monkeypatch.context() as patch:
        patch.delenv(cache.variable)
        patch.delenv("XDG_CACHE_HOME", raising=False)
        patch.setattr(os.path, "expanduser", lambda path: path)
        assert kept.folder() is None
        assert "no home" in said() and not os.listdir()
    cache.said.clear()
    monkeypatch.delattr(os, "getuid")
    assert kept.folder() is None and not cache.loads()
    assert "whose a folder is" in cache.said[0]
