"""The folder of what is kept: whose it is, and what is read from it.

What any cache of compiled code is tested for stands in test_caches.py.
"""

import hashlib
import os
import shutil
import stat

import caches
import pytest

from speechbrain_ligru_fast.backends import kept
from speechbrain_ligru_fast.backends.cuda import build


@pytest.fixture
def cache(tmp_path, monkeypatch):
    return caches.begin(caches.Cubins, tmp_path, monkeypatch)


def test_what_a_cubin_is_of(cache, monkeypatch):
    """An architecture, macros, a source and a compiler."""
    assert not cache.loads(arch="sm_80") and not cache.loads(2)
    assert cache.loads(arch="sm_80") and cache.loads(2) and cache.loads()
    assert {path.suffix for path in cache.folder.iterdir()} == {".cubin"}
    monkeypatch.setattr(build, "compiler_version", lambda: "0.0")
    assert not cache.loads()
    monkeypatch.setattr(build, "source", lambda backward: "other")
    assert not cache.loads()


def test_what_an_older_version_kept(cache):
    """Version 1 hashed the content alone."""
    (path,) = cache.folder.iterdir()
    digest = hashlib.sha256(b"cubin 1").digest()
    path.write_bytes(b"ligru-cubin-1\n" + digest + b"cubin 1")
    assert not cache.loads()


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/none"])
def test_no_folder_no_cache(cache, monkeypatch, tmp_path, caplog, place):
    (tmp_path / "file").write_text("")
    place = str(tmp_path / place)
    monkeypatch.setenv(cache.variable, place)
    assert not cache.loads() and not cache.loads()
    (record,) = caplog.records
    assert f"{cache.variable} to a folder" in record.getMessage()
    assert place in record.getMessage()


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


def replace(path, what, elsewhere):
    """Something else stands where a file or folder was."""
    path.rename(elsewhere)
    {
        "link": lambda: path.symlink_to(elsewhere),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "file": path.touch,
    }[what]()


@pytest.mark.parametrize("what", ["group", "link", "file"])
def test_nothing_is_loaded_where_others_write(cache, tmp_path, what, caplog):
    """It is said, and the folder is left as it was."""
    own = cache.folder
    if what == "group":
        own.chmod(0o720)
    else:
        replace(own, what, tmp_path / "elsewhere")
    before = own.lstat()
    assert not cache.loads() and not cache.loads()
    assert own.lstat()[:7] == before[:7]
    (record,) = caplog.records
    assert f"{own} {cache.unsafe}" in record.getMessage()


@pytest.mark.parametrize("what", ["mode", "link", "pipe", "folder"])
def test_an_entry_that_others_could_write(cache, what, tmp_path):
    (path,) = cache.folder.iterdir()
    if what == "mode":
        path.chmod(0o666)
    else:
        replace(path, what, tmp_path / "elsewhere")
    assert not cache.loads()


def test_a_disk_that_lets_nothing_go(cache, monkeypatch):
    """A file that was begun and can't be removed is no error."""

    def fail(*args):
        raise OSError("as on a read-only disk")

    for name in ("replace", "unlink"):
        monkeypatch.setattr(os, name, fail)
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


def test_a_user_without_a_home(cache, monkeypatch, tmp_path, caplog):
    """A container's, whose number no file names: no folder called ~."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv(cache.variable)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert kept.folder() is None
    assert "no home" in caplog.text and not os.listdir()


def test_a_system_without_owners(cache, monkeypatch, caplog):
    """Windows tells no user's number: no folder is known to be safe."""
    monkeypatch.delattr(os, "getuid")
    assert kept.folder() is None
    assert not cache.loads() and len(caplog.records) == 1
