"""How a backend is chosen, and what is said when it can't run."""

import logging
import re
import types

import pytest
import torch
import twins

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.spec import BACKENDS, ScanSpec

CPU = ("cpu", torch.float32, ScanSpec())


@pytest.fixture(autouse=True)
def fresh_choice():
    backends._choose.cache_clear()
    yield
    backends._choose.cache_clear()


def name_of(module):
    return module.__name__.rsplit(".", 1)[1]


def test_every_backend_has_a_state():
    states = fast.available_backends()
    assert tuple(states) == BACKENDS[1:]
    assert states["reference"] == states["torchscript"] == "ok"
    for state in states.values():
        assert state == "ok" or len(state) > 10


def test_auto_takes_the_first_that_can():
    first = next(n for n in BACKENDS[1:] if n in twins.available())
    assert name_of(backends.choose("auto", *CPU, steps=100)) == first
    assert name_of(backends.choose("auto", *CPU, steps=1)) == "torchscript"


def test_named_is_taken(backend):
    assert name_of(backends.choose(backend, *CPU, steps=1)) == backend


def test_named_that_cannot_run_raises_with_the_reason():
    for name, state in fast.available_backends().items():
        if state != "ok":
            with pytest.raises(RuntimeError) as raised:
                backends.choose(name, *CPU)
            assert f"backend {name!r} can't run on cpu" in str(raised.value)
            assert "backend='auto'" in str(raised.value)


def test_the_error_names_a_backend_that_can_run():
    for device, dtype in (
        ("cpu", torch.float64), ("mps", torch.float32), ("cuda", torch.float64),
    ):  # fmt: skip
        with pytest.raises(RuntimeError) as raised:
            backends.choose("triton", device, dtype, ScanSpec(), steps=100)
        instead = re.search(r"Use backend='(\w+)'", str(raised.value))[1]
        assert backends.choose(instead, device, dtype, ScanSpec(), steps=100)


def test_auto_falls_through_a_broken_library_and_says_so(monkeypatch, caplog):
    working = backends._load

    def load(name):
        if name in ("cuda", "triton", "numba"):
            return f"its library can't be imported: no {name}"
        return working(name)

    monkeypatch.setattr(backends, "_load", load)
    with caplog.at_level(logging.INFO, "speechbrain_ligru_fast"):
        ours = fast.LiGRU(4, (2, 9, 3))
        ours(torch.randn(2, 9, 3))
        ours(torch.randn(2, 9, 3))
    lines = [r.getMessage() for r in caplog.records if "backend" in r.message]
    assert len(lines) == 1
    assert "torchscript; not cuda: " in lines[0] and "no numba" in lines[0]
    with pytest.raises(RuntimeError, match="no numba"):
        fast.LiGRU(4, (2, 9, 3), backend="numba")(torch.randn(2, 9, 3))


def test_a_broken_library_is_a_reason(monkeypatch):
    def broken(path):
        raise OSError("libllvmlite.so: cannot open shared object file")

    monkeypatch.setattr(backends.importlib, "import_module", broken)
    backends._load.cache_clear()
    try:
        reason = fast.available_backends()["numba"]
    finally:
        backends._load.cache_clear()
    assert reason == (
        "its library can't be imported: "
        "libllvmlite.so: cannot open shared object file"
    )


def test_auto_survives_a_library_that_fails_when_asked(monkeypatch):
    def unavailable(device_type, dtype, spec):
        raise AttributeError("module 'triton' has no attribute 'knobs'")

    other = types.SimpleNamespace(unavailable=unavailable)
    working = backends._load
    monkeypatch.setattr(
        backends,
        "_load",
        lambda name: other if name == "triton" else working(name),
    )
    assert "no attribute 'knobs'" in fast.available_backends()["triton"]
    assert backends.choose("auto", *CPU, steps=100)
    with pytest.raises(RuntimeError, match="can't be asked: module 'triton'"):
        backends.choose("triton", *CPU)


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


def test_a_refusal_is_by_option(monkeypatch):
    """A backend may refuse a spec: auto then takes the next for it alone."""
    picky = types.SimpleNamespace(
        __name__="backends.numba",
        unavailable=lambda device, dtype, spec: (
            "no tanh here" if spec.nonlinearity == "tanh" else None
        ),
    )
    working = backends._load
    monkeypatch.setattr(
        backends, "_load", lambda n: picky if n == "numba" else working(n)
    )
    assert backends.choose("auto", *CPU, steps=9) is picky
    tanh = ("cpu", torch.float32, ScanSpec("tanh"))
    assert name_of(backends.choose("auto", *tanh, steps=9)) == "torchscript"
    with pytest.raises(RuntimeError, match="no tanh here"):
        backends.choose("numba", *tanh)
