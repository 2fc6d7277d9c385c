"""Microbenchmarks: exchange in a cluster, a hop through L2, clusters at once.

They tell how far the kernels are from what the hardware can do.
"""

import ctypes
import pathlib
from types import SimpleNamespace

import torch

from speechbrain_ligru_fast.backends.cuda import build, launch
from speechbrain_ligru_fast.backends.cuda.launch import checked, launch_config

SOURCE = pathlib.Path(__file__).with_name("micro.cu")
STEPS = 10_000
# Two words that wander, and an error word: see micro.cu.
WORDS, ERROR = 384, 256
CLUSTERS = (2, 4, 8, 16)
# 64 threads send 1 KiB: 8 rows of 64 units in 16 bits.
THREADS = 64
# Shared memory of a kernel with most of its weights in it.
HEAVY = 160 * 1024


def compile_source(arch):
    """The microbenchmarks' machine code; needs no GPU.

    Arguments
    ---------
    arch : str
        With clusters: sm_90a or newer.

    Returns
    -------
    bytes
    """
    from cuda.core import Program, ProgramOptions

    device = (build.KERNELS / "device.cuh").read_text()
    source = SOURCE.read_text().replace('#include "device.cuh"\n', device)
    source = source.replace("#pragma once\n", "")
    program = Program(source, "c++", ProgramOptions(arch=arch, std="c++17"))
    return bytes(program.compile("cubin").code)


class Micro:
    """The loaded microbenchmarks of a device.

    Arguments
    ---------
    arch : str
        Its architecture.
    """

    def __init__(self, arch):
        from cuda.bindings import driver

        cubin = compile_source(arch)
        # The driver's calls need torch's context.
        torch.zeros(1, device="cuda")
        library = checked(driver.cuLibraryLoadData(cubin, [], [], 0, [], [], 0))
        self.functions = {
            name: checked(
                driver.cuKernelGetFunction(
                    checked(driver.cuLibraryGetKernel(library, name.encode()))
                )
            )
            for name in ("cluster_exchange", "flag_hop")
        }

    def _allow(self, function, shared):
        from cuda.bindings import driver

        names = driver.CUfunction_attribute
        for name, value in (
            (names.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared),
            (names.CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1),
        ):
            checked(driver.cuFuncSetAttribute(function, name, value))

    def _microseconds(self, name, plan, words):
        """Microseconds of one step, the median of five launches."""
        from cuda.bindings import driver

        arguments = (
            ctypes.c_void_p(words.data_ptr()),
            ctypes.c_int(STEPS),
        )
        pointers = (ctypes.c_void_p * 2)(*map(ctypes.addressof, arguments))
        stream = torch.cuda.current_stream().cuda_stream
        times = []
        for _ in range(5):
            words.zero_()
            begin, end = (
                torch.cuda.Event(enable_timing=True) for _ in range(2)
            )
            begin.record()
            checked(
                driver.cuLaunchKernelEx(
                    launch_config(plan, stream),
                    self.functions[name],
                    ctypes.addressof(pointers),
                    0,
                )
            )
            end.record()
            end.synchronize()
            if words[ERROR]:
                raise RuntimeError(f"{name}: a wait took too long, gave up")
            times.append(1000 * begin.elapsed_time(end) / STEPS)
        return sorted(times)[2]

    def rows(self):
        """Yields (name, value, unit)."""
        from cuda.bindings import driver

        words = torch.zeros(WORDS, dtype=torch.uint8, device="cuda")
        exchange = self.functions["cluster_exchange"]
        for size in CLUSTERS:
            plan = SimpleNamespace(
                tier="cluster",
                group=size,
                groups=1,
                threads=THREADS,
                shared_bytes=HEAVY,
            )
            self._allow(exchange, HEAVY)
            status, count = driver.cuOccupancyMaxActiveClusters(
                exchange, launch_config(plan, 0)
            )
            granted = status == driver.CUresult.CUDA_SUCCESS
            yield f"resident clusters of {size}", count if granted else 0, ""
            if not granted or count == 0:
                continue
            plan.shared_bytes = 128 + 2 * size * THREADS * 16
            time = self._microseconds("cluster_exchange", plan, words)
            yield f"exchange in a cluster of {size}", round(time, 4), "us"
        plan = SimpleNamespace(
            tier="grid", group=2, groups=1, threads=32, shared_bytes=0
        )
        time = self._microseconds("flag_hop", plan, words)
        yield "one hop through L2", round(time, 4), "us"


def work(child):
    """Runs the microbenchmarks; on a CPU only compiles them.

    Arguments
    ---------
    child : Child
        The process.
    """
    if child.job.device == "cpu":
        size = len(compile_source("sm_90a"))
        child.note(f"microbenchmarks compile: {size} bytes")
        return
    limits = launch.machine(torch.device("cuda")).limits
    if limits.capability < (9, 0):
        child.note("no clusters on this device: no microbenchmarks")
        return
    for name, value, unit in Micro(limits.arch).rows():
        child.note(f"{name}: {value} {unit}")
        row = {"name": name, "value": value, "unit": unit}
        child.row("micro.csv", row)
