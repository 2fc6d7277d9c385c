"""Where the Numba backend can't run; ../test_backends.py has the rest."""

import pytest
import torch

from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.backends import auto
from speechbrain_ligru_fast.backends.spec import ScanSpec

backend = pytest.importorskip("speechbrain_ligru_fast.backends.numba")


def test_no_compiler_is_a_reason(put):
    put(backend.numba.config, DISABLE_JIT=1)
    reason = backend.unavailable("cpu", torch.float32, ScanSpec())
    assert reason == "NUMBA_DISABLE_JIT is set"


def test_auto_takes_plain_torch_on_a_gpu(put):
    put(backend, unavailable=lambda *asked: None)
    found = dict(auto.by_speed("cuda", torch.float32, ScanSpec(), False))
    assert "plain torch was faster" in found["numba"]
    assert found["torchscript"] is None


def test_a_broken_numba_cuda_or_no_gpu_is_a_reason(put):
    pytest.importorskip("numba_cuda")
    scan = "cuda", torch.float32, ScanSpec()
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="finds no GPU.*auto"):
            backends.choose("numba", *scan)

    def broken():
        raise ImportError("no NVVM")

    put(backend, _gpu=broken)
    reason = backend.unavailable(*scan)
    assert reason == "numba-cuda can't be used: no NVVM"
