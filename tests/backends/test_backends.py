"""A backend by its name, and the error where it can't run."""

import importlib.util
import re

import pytest
import torch

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.backends import loading
from speechbrain_ligru_fast.backends.spec import BACKENDS, ScanSpec

FLOAT, BFLOAT, HALF = torch.float32, torch.bfloat16, torch.float16
CPU = ("cpu", FLOAT, ScanSpec())


def test_every_backend_has_a_state():
    states = fast.available_backends()
    assert tuple(states) == BACKENDS[1:]
    assert states["reference"] == states["torchscript"] == "ok"
    for state in states.values():
        assert state == "ok" or len(state) > 10


def test_named_is_taken(backend):
    chosen = backends.choose(backend, *CPU, steps=1)
    assert chosen.__name__.endswith(f".{backend}")


@pytest.mark.parametrize(
    "device, dtype",
    [("cpu", "float32"), ("cpu", "float64"), ("mps", "float32")]
    + [("cuda", "float64")],
)
def test_named_that_cannot_run_raises_and_names_one_that_can(device, dtype):
    """With the reason of ``available_backends``, which is of float32."""
    scan = device, getattr(torch, dtype), ScanSpec()
    raised = []
    for name, state in fast.available_backends().items():
        try:
            backends.choose(name, *scan)
        except RuntimeError as error:
            message = str(error)
            assert f"backend {name!r} can't run on {device} with" in message
            # What can run on another device has none.
            assert scan != CPU or state == "ok" or state in message
            assert "backend='auto'" in message
            instead = re.search(r"Use backend='(\w+)'", message)[1]
            assert backends.choose(instead, *scan, steps=100)
            raised.append(name)
    assert "triton" in raised


@pytest.mark.parametrize(
    "name, device, dtype, capability, words",
    [
        ("cuda", "cpu", FLOAT, (9, 0), "NVIDIA GPU only"),
        ("cuda", "cuda", torch.float64, (9, 0), "no kernels for torch.float64"),
        ("cuda", "cuda", FLOAT, (7, 0), "7.0 is below 7.5"),
        ("cuda", "cuda", BFLOAT, (7, 5), "no bfloat16 on compute capability"),
        ("cuda", "cuda", HALF, (7, 5), None),
        ("cuda", "cuda", BFLOAT, (12, 0), None),
        ("triton", "cpu", FLOAT, (9, 0), "GPU only"),
        ("triton", "cuda", torch.float64, (9, 0), "float64"),
        ("triton", "mps", FLOAT, (9, 0), "mps"),
        ("triton", "cuda", FLOAT, (7, 5), "8.0 or more, this is 7.5"),
        ("triton", "cuda", FLOAT, (8, 0), None),
        ("numba", "cpu", FLOAT, (9, 0), None),
        ("numba", "mps", FLOAT, (9, 0), "mps"),
        ("numba", "cuda", FLOAT, (5, 2), "6.0 or more, this is 5.2"),
        ("numba", "cuda", FLOAT, (7, 5), None),
        # An AMD GPU.
        ("numba", "cuda", FLOAT, "hip", "NVIDIA"),
    ],
)
def test_who_can_run(name, device, dtype, capability, words, put):
    """By device, type and compute capability."""
    module = loading.load(name)
    if isinstance(module, str):
        pytest.skip(module)
    if name == "numba" and device == "cuda":
        pytest.importorskip("numba_cuda")
        put(module._gpu().cuda, is_available=lambda: True)
    if name == "cuda":
        # That it is not there is told before what the GPU can't do.
        put(importlib.util, find_spec=lambda name: name)
    hip = capability == "hip"
    put(torch.version, hip="7.0" if hip else None)
    found = (7, 5) if hip else capability
    put(torch.cuda, get_device_capability=lambda: found)
    reason = loading.reason(name, device, dtype, ScanSpec())
    assert reason is None if words is None else words in reason


@pytest.mark.parametrize(
    "name, words",
    [("cuda", "not installed: pip install"), ("numba", "install numba-cuda")],
)
def test_a_library_that_a_gpu_needs_is_named(name, words, put):
    module = loading.load(name)
    put(importlib.util, find_spec=lambda name: None)
    assert words in module.unavailable("cuda", FLOAT, ScanSpec())


def test_a_float64_state_is_asked_for_as_such(backend, put):
    """By what a backend refuses: U alone does not tell the state's dtype."""
    asked = []
    module = backends.choose(backend, *CPU)
    put(module, unavailable=lambda device, dtype, spec: asked.append(dtype))
    backends._choose.cache_clear()
    for dtype in (torch.float64, FLOAT):
        w = torch.randn(2, 5, 8, dtype=dtype, requires_grad=True)
        output = fast.ligru_scan(w, torch.randn(8, 4), backend=backend)
        output.sum().backward()
        assert output.dtype == dtype == w.grad.dtype
    assert asked == [torch.float64, FLOAT]
