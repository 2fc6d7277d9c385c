"""What can be seen of launching without a GPU."""

import ctypes

import pytest
import torch

from speechbrain_ligru_fast.backends import cuda
from speechbrain_ligru_fast.backends.cuda import launch
from speechbrain_ligru_fast.backends.cuda.plan import Limits, plan
from speechbrain_ligru_fast.backends.spec import ScanSpec

H100 = Limits((9, 0), 132, 232448, 16)


@pytest.mark.parametrize("hidden, tier", [(512, "cluster"), (2048, "grid")])
def test_launch_configuration(hidden, tier):
    driver = pytest.importorskip("cuda.bindings.driver")
    chosen = plan(hidden, 16, "bf16", H100)
    assert chosen.tier == tier
    config = launch.launch_config(chosen, 77)
    assert config.gridDimX == chosen.group * chosen.groups
    assert (config.blockDimX, config.blockDimY) == (chosen.threads, 1)
    assert config.sharedMemBytes == chosen.shared_bytes
    assert int(config.hStream) == 77
    (attribute,) = config.attrs
    names = driver.CUlaunchAttributeID
    if tier == "cluster":
        assert attribute.id == names.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
        size = attribute.value.clusterDim
        assert (size.x, size.y, size.z) == (chosen.group, 1, 1)
    else:
        assert attribute.id == names.CU_LAUNCH_ATTRIBUTE_COOPERATIVE
        assert attribute.value.cooperative == 1


def test_a_kernel_that_gave_up_is_named(monkeypatch):
    machine = object.__new__(launch.Machine)
    machine.device = torch.device("cuda", 0)
    machine._error = torch.zeros(1, dtype=torch.int32)
    plans = [plan(hidden, 16, "bf16", H100) for hidden in (512, 2048)]
    machine._tickets = {(512, 16, 9, plans[0]): 1, (2048, 16, 3, plans[1]): 2}
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "H100")
    machine.check()
    machine._error[0] = 2
    with pytest.raises(
        RuntimeError, match=r"H100 \(cuda:0\).*NaN: H=2048, 16 rows, T=3, grid"
    ):
        machine.check()
    machine.check()


def test_arguments_have_no_padding():
    sizes = [ctypes.sizeof(kind) for _, kind in launch.Arguments._fields_]
    assert ctypes.sizeof(launch.Arguments) == sum(sizes)


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


def test_operands():
    """float16's gradients are multiplied in a type of float32's range."""
    old = Limits((7, 5), 40, 65536)
    assert cuda._operand(torch.float16, H100, False) == "fp16"
    assert cuda._operand(torch.float16, H100, True) == "tf32"
    assert cuda._operand(torch.float16, old, True) == "fp32"
    assert cuda._operand(torch.bfloat16, H100, True) == "bf16"
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    try:
        for precision, operand in (("ieee", "fp32"), ("tf32", "tf32")):
            matmul.fp32_precision = precision
            assert cuda._operand(torch.float32, H100, True) == operand
            assert cuda._operand(torch.float32, old, True) == "fp32"
    finally:
        matmul.fp32_precision = before
