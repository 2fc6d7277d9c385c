"""A folder that can't keep Triton's kernels costs time, and no launch."""

import errno
import os
import pathlib
import subprocess

import pytest
import torch

from speechbrain_ligru_fast.backends.spec import ScanSpec

triton = pytest.importorskip("triton")

from speechbrain_ligru_fast.backends import triton as backend  # noqa: E402
from speechbrain_ligru_fast.backends.triton import cache_folder as folder  # noqa: E402
from speechbrain_ligru_fast.backends.triton.plan import Device  # noqa: E402


@pytest.fixture(autouse=True)
def refused_folder(monkeypatch):
    """A folder that not even root can make."""
    monkeypatch.setenv("TRITON_CACHE_DIR", "/proc/none")
    monkeypatch.setattr(folder, "_in_use", [])


def keep():
    """As a kernel that Triton compiles: an entry in its cache, read again."""
    manager = triton.runtime.cache.FileCacheManager("key")
    path = manager.put(b"kernel", "name")
    assert pathlib.Path(path).read_bytes() == b"kernel"
    return path


def test_a_folder_that_takes_nothing(said):
    found = []
    for _ in range(2):
        folder.with_folder(lambda: found.append(keep()))
    assert found[0] == found[1]
    place = pathlib.Path(found[0]).parents[1]
    assert place.stat().st_mode & 0o777 == 0o700
    assert "Set TRITON_CACHE_DIR" in said() and "/proc/none" in said()
    # Nobody else's kernels move.
    assert os.environ["TRITON_CACHE_DIR"] == "/proc/none"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        ImportError("launcher.so: file too short"),
        subprocess.CalledProcessError(1, "gcc"),
    ],
)
def test_a_launch_goes_on_in_another_folder(error, put):
    """No launch that has run is repeated: steps change what they start from."""
    tried = []

    def run(self, *args, first, MULTIPLY, **kwargs):
        tried.append((first, MULTIPLY, os.environ["TRITON_CACHE_DIR"]))
        if len(tried) == 3:
            raise error

    put(triton.runtime.JITFunction, run=run)
    put(backend.replays, enabled=False)
    put(backend, _describe=lambda device: Device(cooperative=False))
    w, u = torch.randn(2, 3, 48), torch.randn(48, 24)
    backend.scan_forward(ScanSpec(), w, u, None, None, None, None, None, False)
    steps, _, places = zip(*tried)
    assert steps == (0, 1, 2, 2)
    assert {*places[:3]} == {"/proc/none"} != {places[3]}


def test_no_folder_anywhere_is_an_error(put, caplog):
    def fail(*args, **options):
        raise OSError(errno.ENOSPC, "nor here")

    put(folder.tempfile, mkdtemp=fail)
    with pytest.raises(OSError, match="/proc/none"):
        folder.with_folder(keep)
    assert not caplog.records
