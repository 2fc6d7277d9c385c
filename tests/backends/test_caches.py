"""Compiled code is kept on disk: found again, or the user is told why not.

Whatever is wrong with a cache costs time, and one warning.
"""

import errno
import os
import pathlib
import shutil

import caches
import pytest
from full_disk import on_full_disk


@pytest.fixture(params=[caches.Cubins, caches.Loops])
def cache(request, tmp_path, monkeypatch):
    return caches.begin(request.param, tmp_path, monkeypatch)


def code(folder):
    """The file whose code was compiled last."""
    files = [p for p in folder.iterdir() if p.suffix in (".nbc", ".cubin")]
    return max(files, key=lambda path: path.stat().st_mtime_ns)


def assert_whole(cache):
    """What could be kept now is, and nothing that was begun is left."""
    assert not cache.loads(2) and cache.loads(2)
    assert not [p for p in cache.folder.iterdir() if "tmp" in p.name]


def test_each_is_compiled_once(cache, caplog):
    assert cache.loads() and cache.loads()
    assert_whole(cache)
    assert cache.loads() and "anew in every process" not in caplog.text


def flip(data, at):
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


DAMAGE = {
    "torn": lambda data: data[:-3],
    "empty": lambda data: b"",
    "foreign": lambda data: b"\x7fELF something else",
    "flipped": lambda data: flip(data, -4),
    "flipped inside": lambda data: flip(data, -200),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_compiled_again(cache, damage):
    for path in sorted(cache.folder.iterdir()):
        path.write_bytes(DAMAGE[damage](path.read_bytes()))
        # A bit of Numba's index may be one that matters to nobody.
        may_load = damage.startswith("flip") and path.suffix == ".nbi"
        assert not cache.loads() or may_load
        assert cache.loads()


def test_code_of_another_entry_is_compiled_again(cache):
    """Numba writes its index first, and may be killed before the code."""
    other = code(cache.folder).read_bytes()
    assert not cache.loads(2)
    code(cache.folder).write_bytes(other)
    assert not cache.loads(2)
    assert cache.loads(2)


def test_a_cache_that_vanishes(cache):
    shutil.rmtree(cache.folder.parent)
    assert not cache.loads()
    assert cache.loads()


def lost_time(caplog):
    """The only message that says so."""
    said = [record.getMessage() for record in caplog.records]
    (found,) = [text for text in said if "anew in every process" in text]
    return found


@pytest.mark.parametrize("at", [0, 1])
# Numba itself passes over one of these, on some systems.
@pytest.mark.parametrize("code", ["EROFS", "EACCES", "ENOSPC"])
def test_a_disk_that_takes_nothing(cache, at, code, monkeypatch, caplog):
    def fail(*args, **options):
        if args[1:] == ("rb",):
            return open(*args)
        # As the system's: with a name that is another one each time.
        name = f"/tmp/{os.urandom(4).hex()}"
        raise OSError(getattr(errno, code), "as on such a disk", name)

    with monkeypatch.context() as patch:
        patch.setattr(*cache.writes[at], fail, raising=False)
        for number in (2, 2, 4):
            assert not cache.loads(number)
    assert cache.variable in lost_time(caplog)
    assert_whole(cache)


def test_a_quota_that_is_full(cache, caplog):
    before = len(list(cache.folder.iterdir()))

    def fill():
        assert not cache.loads(2) and not cache.loads(2)
        assert "File too large" in lost_time(caplog)
        assert len(list(cache.folder.iterdir())) == before

    on_full_disk(fill, 20)
    assert_whole(cache)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners here")
@pytest.mark.parametrize("what", ["mode", "owner"])
def test_code_of_others_is_not_run(cache, what, put, caplog):
    """It is said, and the folder is left as it was."""
    genuine = os.stat

    def stat(path, **options):
        found = genuine(path, **options)
        if str(path) != str(cache.folder):
            return found
        return os.stat_result([*found[:4], 12345678, *found[5:10]])

    if what == "mode":
        cache.folder.chmod(0o777)
    else:
        put(os, stat=stat)
        put(pathlib.Path, lstat=stat)

    def state():
        files = [(p, p.stat().st_mtime_ns) for p in cache.folder.iterdir()]
        return files, os.stat(cache.folder)[:7]

    before = state()
    assert not cache.loads() and not cache.loads()
    assert state() == before
    said = lost_time(caplog)
    assert cache.unsafe in said and str(cache.folder) in said
