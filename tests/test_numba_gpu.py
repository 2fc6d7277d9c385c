"""The Numba backend's GPU kernels without a GPU."""

import os
import pathlib
import re
import subprocess
import sys
import types

import numpy
import pytest
import torch

from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.backends import numba as backend
from speechbrain_ligru_fast.backends.spec import ScanSpec

pytest.importorskip("numba_cuda")


def test_the_kernels_in_the_simulator():
    folder = pathlib.Path(__file__).parent / "simulated"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", folder],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kernel", ["forward", "backward"])
def test_the_kernels_compile_for_a_gpu(kernel, monkeypatch):
    """To PTX for sm_80, in float32 throughout and with a grid barrier."""
    from numba import cuda, float32, int64
    from numba import types as nb
    from numba.cuda import dispatcher

    from speechbrain_ligru_fast.backends.numba import gpu

    # Device functions are compiled for the GPU that is here.
    monkeypatch.setattr(
        dispatcher,
        "get_current_device",
        lambda: types.SimpleNamespace(compute_capability=(8, 0)),
    )
    one, two, three = (nb.Array(float32, n, "C") for n in (1, 2, 3))
    lengths, flag = nb.Array(int64, 1, "C"), nb.boolean
    arguments = {
        "forward": (
            three, two, two, lengths, one, one, three, three, three, two,
            three, two, int64, int64, flag, float32,
        ),
        "backward": (
            three, three, three, three, two, two, two, lengths, one, three,
            three, two, three, int64, int64, flag,
        ),
    }  # fmt: skip
    pair = gpu._kernels(numpy.float32)
    function = pair[kernel == "backward"].py_func
    ptx, _ = cuda.compile(
        function,
        nb.void(*arguments[kernel]),
        cc=(8, 0),
        device=False,
        abi="numba",
    )
    assert "cudaCGSynchronize" in ptx
    # sin and cos reduce large arguments in float64; nothing else may.
    found = set(re.findall(r"^\s*(\S*f64\S*)", ptx, re.MULTILINE))
    assert found <= {"cvt.rn.f64.s64", "mul.f64", "cvt.rn.f32.f64"}


def test_who_can_run(monkeypatch):
    spec = ScanSpec()
    assert backend.unavailable("cpu", torch.float32, spec) is None
    assert "mps" in backend.unavailable("mps", torch.float32, spec)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="finds no GPU.*auto"):
            backends.choose("numba", "cuda", torch.float32, spec)
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None)
    reason = backend.unavailable("cuda", torch.float32, spec)
    assert "pip install numba-cuda" in reason


@pytest.mark.parametrize(
    "capability, reason",
    [((5, 2), "compute capability 6.0 or more, this is 5.2"), ((7, 5), None)],
)
def test_an_old_gpu_is_refused(capability, reason, monkeypatch):
    from speechbrain_ligru_fast.backends.numba import gpu

    monkeypatch.setattr(gpu.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    found = backend.unavailable("cuda", torch.float32, ScanSpec())
    assert found is None if reason is None else reason in found
    monkeypatch.setattr(torch.version, "hip", "7.0")
    found = backend.unavailable("cuda", torch.float32, ScanSpec())
    assert "NVIDIA" in found


def test_a_broken_numba_cuda_is_a_reason(monkeypatch):
    def broken():
        raise ImportError("no NVVM")

    monkeypatch.setattr(backend, "_gpu", broken)
    reason = backend.unavailable("cuda", torch.float32, ScanSpec())
    assert reason == "numba-cuda can't be used: no NVVM"
