"""What can be seen of launching without a GPU."""

import ctypes

import pytest
import torch
from cuda_devices import H100

from speechbrain_ligru_fast.backends.cuda import launch
from speechbrain_ligru_fast.backends.cuda.plan import plan


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
