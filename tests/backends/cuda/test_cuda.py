"""Where the CUDA backend can run, and what its products multiply."""

import pytest
import torch
from cuda_devices import DEVICES, H100

from speechbrain_ligru_fast.backends import cuda
from speechbrain_ligru_fast.backends.spec import ScanSpec


@pytest.mark.parametrize(
    "device, dtype, capability, reason",
    [
        ("cpu", torch.float32, (9, 0), "NVIDIA GPU only"),
        ("cuda", torch.float64, (9, 0), "no kernels for torch.float64"),
        ("cuda", torch.float32, (7, 0), "7.0 is below 7.5"),
        ("cuda", torch.bfloat16, (7, 5), "no bfloat16 on compute capability"),
        ("cuda", torch.float16, (7, 5), None),
        ("cuda", torch.bfloat16, (12, 0), None),
    ],
)
def test_reasons(monkeypatch, device, dtype, capability, reason):
    pytest.importorskip("cuda.core")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    found = cuda.unavailable(device, dtype, ScanSpec())
    assert found is None if reason is None else reason in found


def test_a_missing_library_is_named(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("importlib.util.find_spec", absent)
    found = cuda.unavailable("cuda", torch.float32, ScanSpec())
    assert "not installed: pip install" in found


def test_operands(monkeypatch):
    """float16's gradients are multiplied in a type of float32's range."""
    old = DEVICES["sm_75"]
    assert cuda._operand(torch.float16, H100, False) == "fp16"
    assert cuda._operand(torch.float16, H100, True) == "tf32"
    assert cuda._operand(torch.float16, old, True) == "fp32"
    assert cuda._operand(torch.bfloat16, H100, True) == "bf16"
    for allowed, operand in ((False, "fp32"), (True, "tf32")):
        monkeypatch.setattr(cuda, "tf32_allowed", lambda x=allowed: x)
        assert cuda._operand(torch.float32, H100, True) == operand
        assert cuda._operand(torch.float32, old, True) == "fp32"
