"""The Triton backend without a GPU: its plans, and its kernels interpreted."""

import errno
import os
import pathlib
import subprocess
import sys

import pytest
import torch

from speechbrain_ligru_fast import available_backends, backends
from speechbrain_ligru_fast.backends.failures import CannotRun
from speechbrain_ligru_fast.backends.spec import ScanSpec

triton = pytest.importorskip("triton")

from speechbrain_ligru_fast.backends import triton as backend  # noqa: E402
from speechbrain_ligru_fast.backends.triton import folder  # noqa: E402
from speechbrain_ligru_fast.backends.triton.plan import (  # noqa: E402
    Device,
    plan,
)

H100 = Device()
A100 = Device(108, 163 * 1024)
SMALL = Device(20, 99 * 1024)
MI300 = Device(304, 64 * 1024, amd=True)


def test_the_kernels_in_the_interpreter():
    """tests/interpreted, in a process that interprets Triton from the start."""
    folder = pathlib.Path(__file__).parent / "interpreted"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", folder],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout and "skipped" not in done.stdout


@pytest.mark.parametrize("device", [H100, A100, SMALL, MI300], ids=str)
@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("backward", [False, True])
def test_every_plan_can_run(device, itemsize, backward):
    for hidden in (1, 16, 100, 128, 512, 600, 1024, 2048, 3000):
        for rows in (1, 16, 48, 128, 1000):
            how = plan(device, hidden, rows, itemsize, 100, backward)
            width = hidden * (2 if backward else 1)
            columns = how.block_units * (1 if backward else 2)
            programs = how.groups * how.tiles(hidden)
            assert how.groups >= 1
            if how.persistent:
                # They wait for each other, so all must run.
                assert programs <= device.processors
            else:
                assert how.tiles(hidden) > device.processors
            if how.resident:
                covered = how.splits * how.block_k
                assert how.persistent and covered >= width
                assert covered * columns * itemsize <= device.shared


def test_the_workloads_stay_in_the_program():
    """TIMIT's and LibriSpeech's layers hold their weights on a big GPU."""
    for hidden, rows in ((512, 16), (1024, 48)):
        for backward in (False, True):
            how = plan(H100, hidden, rows, 2, 100, backward)
            assert how.persistent and how.resident, hidden
            assert how.groups * how.block_rows >= rows, "one launch"


def test_what_does_not_fit_runs_step_by_step():
    assert not plan(SMALL, 3000, 16, 2, 100).persistent
    assert not plan(H100, 512, 16, 2, 1).persistent
    lonely = Device(cooperative=False)
    assert not plan(lonely, 512, 16, 2, 100).persistent


def test_who_cannot_run():
    spec = ScanSpec()
    assert "GPU" in backend.unavailable("cpu", torch.float32, spec)
    assert "float64" in backend.unavailable("cuda", torch.float64, spec)
    assert "mps" in backend.unavailable("mps", torch.float32, spec)
    with pytest.raises(RuntimeError, match="triton.*can't run.*GPU only.*auto"):
        backends.choose("triton", "cpu", torch.float32, spec)


@pytest.mark.parametrize(
    "capability, reason",
    [((7, 5), "capability 8.0 or more, this is 7.5"), ((8, 0), None)],
)
def test_an_old_gpu_is_refused(capability, reason, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    found = backend.unavailable("cuda", torch.float32, ScanSpec())
    assert found is None if reason is None else reason in found


def test_without_a_c_compiler_it_is_refused(monkeypatch):
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.delenv("CPATH", raising=False)
    monkeypatch.setenv("CC", "some-compiler")
    scan = ("cuda", torch.float32, ScanSpec())
    assert backend.unavailable(*scan) is None
    monkeypatch.delenv("CC")
    monkeypatch.setattr(backend.shutil, "which", lambda name: None)
    assert "no gcc, clang or $CC" in backend.unavailable(*scan)
    monkeypatch.setenv("CC", "some-compiler")
    paths = {"include": "/no/such/folder"}
    monkeypatch.setattr(backend.sysconfig, "get_paths", lambda *asked: paths)
    assert "/no/such/folder/Python.h" in backend.unavailable(*scan)


def test_a_kernel_that_the_gpu_cannot_hold_is_a_refusal(monkeypatch):
    """An error that says what to do instead, before anything has run."""

    def run(self, *args, **kwargs):
        raise triton.runtime.errors.OutOfResources(300, 200, "shared memory")

    monkeypatch.setattr(triton.runtime.JITFunction, "run", run)
    monkeypatch.setattr(backend, "unavailable", lambda *asked: None)
    w, u = torch.randn(2, 9, 48), torch.randn(48, 24)
    message = "forward_kernel for 24 units.*shared memory.*backend='auto'"
    with pytest.raises(CannotRun, match=message):
        backends.run(
            "scan_forward", "triton", "cuda", torch.float32, ScanSpec(), 9,
            w, u, None, None, None, None, None, False,
        )  # fmt: skip


@pytest.mark.skipif(
    torch.cuda.is_available(), reason="says what is missing without a GPU"
)
def test_the_report_says_why():
    assert "GPU" in available_backends()["triton"]


def test_a_triton_without_knobs(monkeypatch):
    """Version 3.3: what it needs is looked for as without a setting."""
    monkeypatch.delattr(triton, "knobs")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(backend.shutil, "which", lambda name: None)
    assert "needs a C compiler" in backend._missing_compiler()


@pytest.fixture
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


def test_a_folder_that_takes_nothing(refused_folder, caplog):
    found = []
    for _ in range(2):
        folder.with_folder(lambda: found.append(keep()))
    assert found[0] == found[1]
    place = pathlib.Path(found[0]).parents[1]
    assert place.stat().st_mode & 0o777 == 0o700
    (record,) = caplog.records
    assert "Set TRITON_CACHE_DIR" in record.getMessage()
    assert "/proc/none" in record.getMessage()
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
def test_a_launch_goes_on_in_another_folder(refused_folder, error, monkeypatch):
    """No launch that has run is repeated: steps change what they start from."""
    tried = []

    def run(self, *args, first, MULTIPLY, **kwargs):
        tried.append((first, MULTIPLY, os.environ["TRITON_CACHE_DIR"]))
        if len(tried) == 3:
            raise error

    monkeypatch.setattr(triton.runtime.JITFunction, "run", run)
    monkeypatch.setattr(backend.replays, "enabled", False)
    how = plan(Device(cooperative=False), 24, 2, 4, 3)
    assert not how.persistent
    w, u = torch.randn(2, 3, 48), torch.randn(48, 24)
    backend.scan_forward(
        ScanSpec(), w, u, None, None, None, None, None, False, how
    )
    assert [step for step, *_ in tried] == [0, 1, 2, 2]
    assert [place == "/proc/none" for *_, place in tried] == [True] * 3 + [
        False
    ]


def test_no_folder_anywhere_is_an_error(refused_folder, monkeypatch, caplog):
    def fail(*args, **options):
        raise OSError(errno.ENOSPC, "nor here")

    monkeypatch.setattr(folder.tempfile, "mkdtemp", fail)
    with pytest.raises(OSError, match="/proc/none"):
        folder.with_folder(keep)
    assert not caplog.records
