"""Where the Triton backend can run, and its kernels interpreted."""

import pathlib

import pytest
import torch
from fresh import run_tests

from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.backends.failures import CannotRun
from speechbrain_ligru_fast.backends.spec import ScanSpec

triton = pytest.importorskip("triton")

from speechbrain_ligru_fast.backends import triton as backend  # noqa: E402


def test_the_kernels_in_the_interpreter():
    """interpreted/, in a process that interprets Triton from the start."""
    folder = pathlib.Path(__file__).parent / "interpreted"
    run_tests(folder, TRITON_INTERPRET="1")


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


def test_a_triton_without_knobs(monkeypatch):
    """Version 3.3: what it needs is looked for as without a setting."""
    monkeypatch.delattr(triton, "knobs")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(backend.shutil, "which", lambda name: None)
    assert "needs a C compiler" in backend._missing_compiler()
