"""Numba's loops on disk, and what is said while they are compiled.

What any cache of compiled code is tested for stands in ../test_caches.py.
"""

import errno
import logging

import caches
import pytest
from fresh import python

pytest.importorskip("numba")

from numba.core import caching  # noqa: E402
from numba.core.ccallback import CFunc  # noqa: E402

SCAN = """
import logging
import torch
from speechbrain_ligru_fast import ligru_scan
ligru_scan(torch.randn(2, 5, 8), torch.randn(8, 4), backend="numba")
print(logging.getLogger("numba").level)
"""


def test_a_second_process_compiles_nothing(tmp_path):
    """The first one says so, to whoever has set up no logging."""
    found = []
    for times in (1, 0):
        done = python(SCAN, NUMBA_CACHE_DIR=str(tmp_path))
        assert done.stdout == "0\n"
        assert done.stderr.count("takes some seconds") == times
        files = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nb[ci]")}
        found.append(files)
    assert any(path.suffix == ".nbc" for path in found[0])
    assert found[0] == found[1]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    return caches.begin(caches.Loops, tmp_path, monkeypatch)


def test_it_says_that_it_compiles_and_only_then(cache, caplog, said):
    assert cache.loads() and not caplog.records
    assert not cache.loads(2) and not cache.loads(4)
    assert "takes some seconds" in said()


def test_what_an_older_version_kept(cache):
    """Numba's own entry, under the very name and key of ours."""
    for path in cache.folder.iterdir():
        path.unlink()
    of = cache.signature.args, cache.signature.return_type
    loop = CFunc(cache.function(1.0), of, {}, {})
    loop.enable_caching()
    loop.compile()
    assert len(list(cache.folder.iterdir())) == 2
    assert not cache.loads()
    assert cache.loads()


def test_no_folder_no_cache(cache, put, said):
    put(caching.CacheImpl, _locator_classes=[])
    assert not cache.loads() and not cache.loads()
    assert cache.variable in said()


def test_an_entry_that_may_not_be_read(cache, monkeypatch):
    def fail(path, mode="r", **options):
        if str(path).endswith(".nbi"):
            raise PermissionError(errno.EACCES, "not yours")
        return open(path, mode, **options)

    monkeypatch.setattr(caching, "open", fail, raising=False)
    assert not cache.loads()


def test_who_may_write(cache, put):
    """A user's own group, as with umask 002, where every user has a group."""
    cache.folder.chmod(0o775)
    assert cache.loads()
    # Whoever can change the package's source needs no cache for it.
    put(cache.compiling, _others_can_write=lambda path: True)
    assert cache.loads()


@pytest.mark.parametrize("level", [logging.NOTSET, logging.DEBUG])
def test_numbas_logger_is_left_as_it_is(cache, level, caplog):
    numbas = logging.getLogger("numba")
    with caplog.at_level(logging.DEBUG), caplog.at_level(level, "numba"):
        assert not cache.loads(2)
        assert numbas.level == level
    lines = [r for r in caplog.records if r.name.startswith("numba")]
    # Who gave it a level gets what was asked for.
    assert bool(lines) == (level == logging.DEBUG)
