"""How much of a LiGRU's step cuDNN fuses, asked of cuDNN without a GPU."""

import os
import pathlib
import re
import subprocess
import sys
import sysconfig

import no_driver
import pytest

pytest.importorskip("cudnn")

LIBRARIES = pathlib.Path(sysconfig.get_path("purelib")) / "nvidia"
if not list(LIBRARIES.glob("cu1*/lib")) or not (LIBRARIES / "cudnn").is_dir():
    pytest.skip("needs torch's CUDA 13 wheels", allow_module_level=True)

# Builds the step for an H200 or an A100, by cuDNN's description of them.
BUILD = """
import json, sys
import torch
import cudnn
from benchmarks.gpu.cudnn_graph import NAMES, step_graph

version, processors, shared, rows, hidden = map(int, sys.argv[1:6])
properties = dict(
    deviceName="", deviceVer=version, driverVer=13000, cudaDeviceId=0,
    multiProcessorCount=processors, warpSize=32, regsPerBlock=65536,
    maxGridSize=[2147483647, 65535, 65535], maxBlockSize=[1024, 1024, 64],
    maxSharedMemoryPerBlock=49152, maxSharedMemoryPerBlockOptin=shared,
    reservedSharedMemoryPerBlock=1024, maxRegistersPerSM=65536,
    maxCtasPerSM=32, maxThreadsPerBlock=1024, maxThreadsPerSM=2048,
    pciDeviceId=0, isTccDriver=0, supportCoopLaunch=1, smClockRateKHz=1980000,
    memClockRateKHz=3201000, l2CacheSize=62914560, totalGlobalMem=150 * 10**9,
)
graph, uids = step_graph(
    cudnn, rows, hidden, getattr(torch, sys.argv[6]),
    device_property=cudnn.create_device_properties(json.dumps(properties)),
)
assert set(uids) == set(NAMES) and len(set(uids.values())) == len(NAMES)
print("workspace", graph.get_workspace_size())
"""

H200, A100 = (900, 132, 232448), (800, 108, 166912)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """Folder of a driver library without a device."""
    folder = tmp_path_factory.mktemp("driver")
    no_driver.build(folder, (LIBRARIES / "cudnn" / "lib").glob("*.so.9"))
    return folder


@pytest.mark.parametrize(
    "gpu, rows, hidden, dtype",
    [
        (A100, 16, 512, "bfloat16"),
        (A100, 128, 2048, "float16"),
        (H200, 16, 512, "bfloat16"),
    ],
    ids=str,
)
def test_a_step_is_one_kernel(gpu, rows, hidden, dtype, driver):
    """Both products, the gates and the new state, twice stored."""
    cuda = next(LIBRARIES.glob("cu1*/lib"))
    paths = [driver, LIBRARIES / "cudnn" / "lib", cuda]
    done = subprocess.run(
        [sys.executable, "-c", BUILD]
        + [str(x) for x in (*gpu, rows, hidden, dtype)],
        env={**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, paths))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "workspace 0" in done.stdout
    kernels = re.findall(r"^kernel (\S+)", done.stderr, re.MULTILINE)
    assert len(kernels) == 1, kernels
    assert kernels[0].count("matMul") == 2
    # Two sums, sigmoid, ReLU, difference, product, sum, and the copy.
    assert kernels[0].count("pointwise") == 8
