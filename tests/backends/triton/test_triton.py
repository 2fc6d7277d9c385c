"""Where the Triton backend can run, and its kernels interpreted.

Which devices and types it takes stands in ../test_backends.py.
"""

import pathlib

import pytest
import torch
from fresh import run_tests

from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.backends.failures import CannotRun
from speechbrain_ligru_fast.backends.spec import ScanSpec

triton = pytest.importorskip("triton")

from speechbrain_ligru_fast.backends import triton as backend  # noqa: E402

SCAN = ("cuda", torch.float32, ScanSpec())


def test_the_kernels_in_the_interpreter():
    """interpreted/, in a process that interprets Triton from the start."""
    folder = pathlib.Path(__file__).parent / "interpreted"
    run_tests(folder, TRITON_INTERPRET="1")


def test_without_a_c_compiler_it_is_refused(monkeypatch, put):
    put(torch.version, hip=None)
    put(torch.cuda, get_device_capability=lambda: (9, 0))
    monkeypatch.delenv("CPATH", raising=False)
    monkeypatch.setenv("CC", "some-compiler")
    assert backend.unavailable(*SCAN) is None
    paths = {"include": "/no/such/folder"}
    with monkeypatch.context() as patch:
        patch.setattr(backend.sysconfig, "get_paths", lambda *asked: paths)
        assert "/no/such/folder/Python.h" in backend.unavailable(*SCAN)
    monkeypatch.delenv("CC")
    put(backend.shutil, which=lambda name: None)
    assert "no gcc, clang or $CC" in backend.unavailable(*SCAN)
    # Version 3.3 has no settings: it is looked for as without one.
    monkeypatch.delattr(triton, "knobs")
    assert "needs a C compiler" in backend._missing_compiler()


def test_a_kernel_that_the_gpu_cannot_hold_is_a_refusal(put):
    """An error that says what to do instead, before anything has run."""

    def run(self, *args, **kwargs):
        raise triton.runtime.errors.OutOfResources(300, 200, "shared memory")

    put(triton.runtime.JITFunction, run=run)
    put(backend, unavailable=lambda *asked: None)
    scan = torch.randn(2, 9, 48), torch.randn(48, 24), *[None] * 5, False
    message = "forward_kernel for 24 units.*shared memory.*backend='auto'"
    with pytest.raises(CannotRun, match=message):
        backends.run("scan_forward", "triton", *SCAN, 9, *scan)
