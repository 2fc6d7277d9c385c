"""A backend by its name, and the error where it can't run."""

import re

import pytest
import torch

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.backends.spec import BACKENDS, ScanSpec

CPU = ("cpu", torch.float32, ScanSpec())


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


def test_a_float64_state_is_asked_for_as_such(backend, monkeypatch):
    """By what a backend refuses: U alone does not tell the state's dtype."""
    asked = []
    module = backends.choose(backend, *CPU)
    monkeypatch.setattr(
        module,
        "unavailable",
        lambda device, dtype, spec: asked.append(dtype),
    )
    backends._choose.cache_clear()
    for dtype in (torch.float64, torch.float32):
        w = torch.randn(2, 5, 8, dtype=dtype, requires_grad=True)
        output = fast.ligru_scan(w, torch.randn(8, 4), backend=backend)
        output.sum().backward()
        assert output.dtype == dtype == w.grad.dtype
    assert asked == [torch.float64, torch.float32]
