"""What the CPU can do that Numba compiles for, and what follows from it."""

import json
import os
import platform
import re
import subprocess
import sys

import pytest

target = pytest.importorskip("speechbrain_ligru_fast.backends.numba.cpu.target")

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
