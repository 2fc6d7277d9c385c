"""What the CPU can do that Numba compiles for, and what follows from it."""

import json
import platform
import re

import pytest
from fresh import python

target = pytest.importorskip("speechbrain_ligru_fast.backends.numba.cpu.target")

from speechbrain_ligru_fast.backends import numba as backend  # noqa: E402

needs_fma = pytest.mark.skipif(
    platform.machine() != "x86_64" or not target._fuses(target._host()),
    reason="this CPU can't stand for one without a fused multiply-add",
)
AS_ANOTHER_CPU = """
import json, logging, sys
import torch
from speechbrain_ligru_fast import available_backends, backends, ligru_scan
from speechbrain_ligru_fast.backends.spec import ScanSpec

logging.basicConfig(level=logging.INFO, stream=sys.stderr)
backends.choose("auto", "cpu", torch.float32, ScanSpec(), 9)
w, u = torch.linspace(-3, 2, 630).reshape(3, 5, 42), torch.eye(42)[:, :21]
got, want = (ligru_scan(w, u, backend=b) for b in ("numba", "reference"))
close = torch.allclose(got, want, atol=1e-5)
print(json.dumps([close, available_backends()["numba"]]))
"""


@needs_fma
def test_a_cpu_without_fused_multiply_add(tmp_path):
    """Numba's loops are right; ``auto`` goes on, and says so."""
    done = python(
        AS_ANOTHER_CPU,
        NUMBA_CACHE_DIR=str(tmp_path),
        NUMBA_CPU_NAME="generic",
        NUMBA_CPU_FEATURES="",
    )
    assert json.loads(done.stdout) == [True, "ok"]
    said = re.search("LiGRU backend on cpu .*", done.stderr)[0]
    assert ": torchscript; not numba: Numba is set to compile" in said
    assert "the CPU 'generic'" in said and "NUMBA_CPU_NAME" in said


@needs_fma
@pytest.mark.parametrize("cpu, width", [("x86-64-v2", 16), ("sandybridge", 32)])
def test_a_lesser_cpu(cpu, width, monkeypatch):
    """Loops are written for the vectors that there are."""
    triple = target._target()[0]
    monkeypatch.setattr(target, "_target", lambda: (triple, cpu, ""))
    assert (target.fuses(), target.vector_bytes()) == (False, width)
    assert target.lesser() == cpu
    assert repr(cpu) in backend.passed_over("cpu")
    # Where the host has none either, nothing is faster than Numba.
    monkeypatch.setattr(target, "_host", target._target)
    assert target.lesser() is None and backend.passed_over("cpu") is None


def test_other_kinds_of_cpu(monkeypatch):
    """aarch64's and others' instruction is told from a call."""
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
