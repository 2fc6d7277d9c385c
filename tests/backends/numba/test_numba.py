"""Where the Numba backend can run, on a CPU and on a GPU."""

import pytest
import torch

from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.backends.spec import ScanSpec

backend = pytest.importorskip("speechbrain_ligru_fast.backends.numba")


def reason(device="cuda"):
    return backend.unavailable(device, torch.float32, ScanSpec())


def test_who_can_run(monkeypatch):
    assert reason("cpu") is None
    assert "mps" in reason("mps")
    monkeypatch.setattr(backend.numba.config, "DISABLE_JIT", 1)
    assert reason("cpu") == "NUMBA_DISABLE_JIT is set"


def test_no_numba_cuda_is_a_reason(monkeypatch):
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None)
    assert "pip install numba-cuda" in reason()


def test_a_broken_numba_cuda_is_a_reason(monkeypatch):
    pytest.importorskip("numba_cuda")

    def broken():
        raise ImportError("no NVVM")

    monkeypatch.setattr(backend, "_gpu", broken)
    assert reason() == "numba-cuda can't be used: no NVVM"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_a_reason():
    pytest.importorskip("numba_cuda")
    with pytest.raises(RuntimeError, match="finds no GPU.*auto"):
        backends.choose("numba", "cuda", torch.float32, ScanSpec())
