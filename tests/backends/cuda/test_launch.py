"""What can be seen of launching without a GPU."""

import contextlib
import ctypes
import itertools
import types

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


@pytest.fixture
def machines(put, the_end):
    """The Machines of two GPUs that are not there: a Turing and a Hopper."""

    def properties(device):
        major, minor, processors = [(7, 5, 40), (9, 0, 132)][device.index]
        return types.SimpleNamespace(
            major=major, minor=minor, multi_processor_count=processors,
            shared_memory_per_block_optin=H100.shared_bytes,
        )  # fmt: skip

    put(torch.Tensor, pin_memory=lambda self: self)
    put(
        torch.cuda,
        get_device_properties=properties,
        get_device_name=lambda device: "GPU",
        synchronize=lambda device: None,
        is_current_stream_capturing=lambda: False,
        device=contextlib.nullcontext,
        current_stream=lambda: types.SimpleNamespace(cuda_stream=0),
    )
    launch._machine.cache_clear()
    yield [launch.machine(torch.device("cuda", index)) for index in (0, 1)]
    launch._machine.cache_clear()


def test_a_kernel_that_gave_up_is_named(machines):
    machine = machines[1]
    plans = [plan(hidden, 16, "bf16", H100) for hidden in (512, 2048)]
    machine._tickets = {(512, 16, plans[0]): 1, (2048, 16, plans[1]): 2}
    machine.check()
    machine._error[0] = 2
    with pytest.raises(
        RuntimeError, match=r"GPU \(cuda:1\).*NaN: H=2048, up to 16 rows, grid"
    ):
        machine.check()
    machine.check()


def test_each_gpu_has_limits_of_its_own_and_an_end(the_end, machines, said):
    """What its last kernel left is reported, though no launch follows."""
    first, second = machines
    assert launch.machine(torch.device("cuda", 1)) is second
    assert (first.limits.capability, first.limits.cluster) == ((7, 5), 1)
    assert (second.limits.processors, second.limits.cluster) == (132, 16)
    second._tickets[512, 16, plan(512, 16, "bf16", H100)] = 1
    second._error[0] = 1
    the_end()
    assert "GPU (cuda:1): a CTA waited too long" in said()


def test_many_batch_sizes_share_few_kernels(machines, put):
    """And few names; 200 of them once loaded 400 libraries."""
    driver = pytest.importorskip("cuda.bindings.driver")
    machine, loaded = machines[1], []
    put(launch.build, cubin=lambda *x: loaded.append(x))
    put(launch, checked=lambda result: None, launch_config=lambda *_: None)
    calls = "LibraryLoadData LibraryGetKernel KernelGetFunction LaunchKernelEx"
    put(driver, **{f"cu{name}": lambda *_: None for name in calls.split()})
    put(launch.Machine, _resident=lambda *_: 10**6)
    for batch, backward in itertools.product(range(1, 201), (False, True)):
        sizes = 512, 2 * batch, "bf16", backward, False, ()
        chosen, kernel = machine.kernel(*sizes)
        tiles = -(-2 * batch // chosen.rows)
        assert chosen.groups <= max(tiles, 16)
        arguments = launch.Arguments(
            batch=batch, directions=2, hidden=512, steps=batch
        )
        machine.launch(chosen, kernel, arguments)
    assert len(loaded) <= 8 and len(machine._kernels) <= 30
    assert len(machine._tickets) == len(machine._kernels)


def test_arguments_have_no_padding():
    sizes = [ctypes.sizeof(kind) for _, kind in launch.Arguments._fields_]
    assert ctypes.sizeof(launch.Arguments) == sum(sizes)
