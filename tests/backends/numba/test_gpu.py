"""The Numba backend's GPU kernels without a GPU."""

import pathlib
import re
import types

import numpy
import pytest
import torch
from fresh import run_tests

from speechbrain_ligru_fast.backends.spec import ScanSpec

pytest.importorskip("numba_cuda")

from speechbrain_ligru_fast.backends import numba as backend  # noqa: E402
from speechbrain_ligru_fast.backends.numba import gpu  # noqa: E402


def test_the_kernels_in_the_simulator():
    """simulated/, in a process that simulates CUDA from the start."""
    folder = pathlib.Path(__file__).parent / "simulated"
    run_tests(folder, NUMBA_ENABLE_CUDASIM="1")


@pytest.mark.parametrize("kernel", ["forward", "backward"])
def test_the_kernels_compile_for_a_gpu(kernel, monkeypatch):
    """To PTX for sm_80, in float32 throughout and with a grid barrier."""
    from numba import cuda, float32, int64
    from numba import types as nb
    from numba.cuda import dispatcher

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


@pytest.mark.parametrize(
    "capability, hip, reason",
    [
        ((5, 2), None, "compute capability 6.0 or more, this is 5.2"),
        ((7, 5), None, None),
        ((7, 5), "7.0", "NVIDIA"),
    ],
)
def test_which_gpus_can_run(capability, hip, reason, monkeypatch):
    monkeypatch.setattr(gpu.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.version, "hip", hip)
    found = backend.unavailable("cuda", torch.float32, ScanSpec())
    assert found is None if reason is None else reason in found
