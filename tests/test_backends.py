"""How a backend is chosen, and what is said when it can't run."""

import json
import logging
import os
import platform
import re
import subprocess
import sys
import types

import pytest
import torch
import twins

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.backends import failures
from speechbrain_ligru_fast.backends.failures import (
    Broken,
    Refused,
)
from speechbrain_ligru_fast.backends.spec import BACKENDS, ScanSpec

CPU = ("cpu", torch.float32, ScanSpec())


@pytest.fixture(autouse=True)
def fresh_choice(monkeypatch):
    monkeypatch.setattr(backends, "_refused", Refused())
    monkeypatch.setattr(failures, "_said", set())
    backends._choose.cache_clear()
    yield
    backends._choose.cache_clear()


def name_of(module):
    return module.__name__.rsplit(".", 1)[1]


def replace(monkeypatch, **others):
    """Backends, or reasons why there are none, in the place of ours."""
    working = backends.loading.load
    monkeypatch.setattr(
        backends.loading, "load", lambda name: others.get(name) or working(name)
    )


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


def test_auto_falls_through_and_says_so(monkeypatch, caplog):
    """What is not there by choice is said at INFO, once."""
    replace(monkeypatch, numba="no FMA here")
    with caplog.at_level(logging.INFO, "speechbrain_ligru_fast"):
        ours = fast.LiGRU(4, (2, 9, 3))
        ours(torch.randn(2, 9, 3))
        ours(torch.randn(2, 9, 3))
    (record,) = caplog.records
    assert "torchscript; not numba: no FMA here" in record.getMessage()
    assert record.levelno == logging.INFO
    with pytest.raises(RuntimeError, match="no FMA here"):
        fast.LiGRU(4, (2, 9, 3), backend="numba")(torch.randn(2, 9, 3))


def test_a_broken_numba_is_said_aloud_once(monkeypatch, caplog):
    replace(monkeypatch, numba=Broken("Numba needs NumPy 2.3 or less"))
    for dtype in (torch.float32, torch.float64):
        scan = ("cpu", dtype, ScanSpec())
        assert name_of(backends.choose("auto", *scan, steps=9)) == "torchscript"
    (record,) = caplog.records
    for words in ("'numba' can't", "NumPy 2.3 or less", "pip install"):
        assert words in record.getMessage()
    # Who asks for no numba is told nothing.
    caplog.clear()
    failures._said.clear()
    backends.choose("torchscript", *CPU, steps=9)
    backends.choose("auto", *CPU, steps=1)
    assert not caplog.records


def test_who_has_set_up_no_logging_sees_it(tmp_path):
    (tmp_path / "numba").mkdir()
    source = 'raise ImportError("Numba needs NumPy 2.3 or less. Got 2.4.")'
    (tmp_path / "numba" / "__init__.py").write_text(source)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import torch; from speechbrain_ligru_fast import ligru_scan\n"
        "for _ in range(2): ligru_scan(torch.ones(2, 5, 8), torch.ones(8, 4))\n"
        "print('speechbrain_ligru_fast.backends.triton' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    # A CPU needs no Triton, whose import takes its time.
    assert done.stdout == "False\n", done.stderr
    (said,) = [n for n in done.stderr.splitlines() if "backend" in n]
    assert "numba" in said and "Got 2.4" in said


def test_a_missing_library_that_is_optional_is_no_fault(monkeypatch):
    def absent(path):
        name = path.rpartition(".")[2]
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(backends.loading.importlib, "import_module", absent)
    backends.loading.load.cache_clear()
    try:
        reasons = [backends.loading.load(name) for name in ("triton", "numba")]
    finally:
        backends.loading.load.cache_clear()
    assert [isinstance(r, Broken) for r in reasons] == [False, True]


def test_a_broken_library_is_a_reason(monkeypatch):
    def broken(path):
        raise OSError("libllvmlite.so: cannot open shared object file")

    monkeypatch.setattr(backends.loading.importlib, "import_module", broken)
    backends.loading.load.cache_clear()
    try:
        reason = fast.available_backends()["numba"]
    finally:
        backends.loading.load.cache_clear()
    assert reason == (
        "its library can't be imported: "
        "libllvmlite.so: cannot open shared object file"
    )


def test_auto_survives_a_library_that_fails_when_asked(monkeypatch):
    def unavailable(device_type, dtype, spec):
        raise AttributeError("module 'triton' has no attribute 'knobs'")

    other = types.SimpleNamespace(unavailable=unavailable)
    replace(monkeypatch, triton=other)
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


AS_ANOTHER_CPU = """
import json, logging, sys
import torch
from speechbrain_ligru_fast import available_backends, backends, ligru_scan
from speechbrain_ligru_fast.backends.numba.cpu import target
from speechbrain_ligru_fast.backends.spec import ScanSpec

logging.basicConfig(level=logging.INFO, stream=sys.stderr)
if sys.argv[1] == "host too":
    target._host = target._target
backends.choose("auto", "cpu", torch.float32, ScanSpec(), 9)
found = {"fuses": target.fuses(), "bytes": target.vector_bytes()}
if sys.argv[1] == "run":
    w, u = torch.linspace(-3, 2, 630).reshape(3, 5, 42), torch.eye(42)[:, :21]
    got, want = (ligru_scan(w, u, backend=b) for b in ("numba", "reference"))
    found["close"] = torch.allclose(got, want, atol=1e-5)
print(json.dumps(found | {"state": available_backends()["numba"]}))
"""


@pytest.mark.parametrize(
    "host, settings, width",
    [
        ("run", {"NUMBA_CPU_NAME": "generic"}, 16),
        ("host too", {"NUMBA_CPU_NAME": "x86-64-v2"}, 16),
        # Loops are written for the vectors that there are.
        ("", {"NUMBA_CPU_NAME": "sandybridge"}, 32),
    ],
    ids=str,
)
def test_a_cpu_without_fused_multiply_add(host, settings, width, tmp_path):
    """``auto`` goes on where the host has it, and says so."""
    target = pytest.importorskip(
        "speechbrain_ligru_fast.backends.numba.cpu.target"
    )
    if platform.machine() != "x86_64" or not target._fuses(target._host()):
        pytest.skip("this CPU can't stand for one without")
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_CPU_FEATURES": ""}
    done = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER_CPU, host],
        env={**os.environ, **environment, **settings},
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)
    assert found.pop("close", host != "run")
    assert found == {"fuses": False, "bytes": width, "state": "ok"}
    said = re.search("LiGRU backend on cpu .*", done.stderr)[0]
    if host == "host too":
        assert said.endswith(": numba")
    else:
        name = settings["NUMBA_CPU_NAME"]
        assert ": torchscript; not numba: Numba is set to compile" in said
        assert f"the CPU {name!r}" in said and "NUMBA_CPU_NAME" in said


def test_other_kinds_of_cpu(monkeypatch):
    """aarch64's and others' instruction is told from a call."""
    target = pytest.importorskip(
        "speechbrain_ligru_fast.backends.numba.cpu.target"
    )
    for assembly, fuses, width in (
        ("fmla v0.4s, v4.4s, v8.4s", True, 16),
        ("xvmaddasp 34, 36, 38", True, 16),
        ("callq fmaf@PLT", False, 16),
        ("vfmadd213ps %zmm2, %zmm1, %zmm0", True, 64),
        ("vfmadd213ps %ymm2, %ymm1, %ymm0", True, 32),
    ):
        monkeypatch.setattr(target, "_assembly", lambda *_, x=assembly: x)
        assert (target.fuses(), target.vector_bytes()) == (fuses, width)
        assert target.lesser() is None


def test_a_refusal_is_by_option(monkeypatch):
    """A backend may refuse a spec: auto then takes the next for it alone."""
    picky = types.SimpleNamespace(
        __name__="backends.numba",
        unavailable=lambda device, dtype, spec: (
            "no tanh here" if spec.nonlinearity == "tanh" else None
        ),
    )
    replace(monkeypatch, numba=picky)
    assert backends.choose("auto", *CPU, steps=9) is picky
    tanh = ("cpu", torch.float32, ScanSpec("tanh"))
    assert name_of(backends.choose("auto", *tanh, steps=9)) == "torchscript"
    with pytest.raises(RuntimeError, match="no tanh here"):
        backends.choose("numba", *tanh)
