"""The microbenchmarks' waits end, whatever does not come."""

import ctypes
import subprocess

import pytest

from benchmarks.gpu import micro

# One thread of one CTA, whose peers stay silent: what device.cuh gives, as
# far as these kernels use it.
SILENT = """
#include <cstring>
using u32 = unsigned; using u64 = unsigned long long;
struct uint4 { u32 x, y, z, w; };
struct { u32 x; } threadIdx = {0}, blockIdx = {1}, blockDim = {1};
#define __device__
#define __global__
#define __forceinline__ inline
static char memory[1 << 20];
static int expected;
static long polls;
char *shared_memory() { return memory; }
uint4 make_uint4(u32 x, u32 y, u32 z, u32 w) { return {x, y, z, w}; }
void cluster_sync() {}
void __syncthreads() {}
void barrier_init(u64 *) {}
void barrier_expect(u64 *, u32) { expected++; }
bool barrier_test(u64 *, u32) { polls++; return false; }
void send(void *, uint4, u64 *, u32) {}
void publish(void *, u32, u32, u32) {}
uint4 peek(const void *) { polls++; return {0, 0, 0, 0}; }
extern "C" long polled() { return polls; }
extern "C" int armed() { return expected; }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The kernels, compiled for the machine's own processor."""
    folder = tmp_path_factory.mktemp("micro")
    source = micro.SOURCE.read_text()
    assert 'asm("mov.u32 %0, %%cluster_nctaid.x;" : "=r"(size));' in source
    source = source.replace('#include "device.cuh"', SILENT).replace(
        'asm("mov.u32 %0, %%cluster_nctaid.x;" : "=r"(size));', "size = 2;"
    )
    path = folder / "micro.cpp"
    path.write_text(source)
    subprocess.run(
        ["g++", "-O1", "-shared", "-fPIC", path, "-o", folder / "micro.so"],
        check=True,
    )
    return ctypes.CDLL(str(folder / "micro.so"))


@pytest.mark.parametrize("name", ["cluster_exchange", "flag_hop"])
def test_a_wait_gives_up_and_says_so(library, name):
    """Only the first one waits, and the error word is set."""
    words = ctypes.create_string_buffer(micro.WORDS)
    before = library.polled()
    getattr(library, name)(words, micro.STEPS)
    assert 1 << 20 <= library.polled() - before <= (1 << 20) + 2
    assert words.raw[micro.ERROR] == 1
    # A phase that never ended is not armed again.
    assert library.armed() <= 1
