"""Ahead-of-time compilation, for GPUs that are not here.

The compilers' reports are read as well: what spills registers or needs more
shared memory than there is would be slow, or not run at all.
"""

import dataclasses
import re
import subprocess

import pytest
import torch

triton = pytest.importorskip("triton")

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.backends.nvidia.compiler import get_ptxas  # noqa: E402

from speechbrain_ligru_fast.backends import triton as backend  # noqa: E402
from speechbrain_ligru_fast.backends.spec import ScanSpec  # noqa: E402
from speechbrain_ligru_fast.backends.triton.plan import Device  # noqa: E402

TARGETS = {
    "sm_80": (GPUTarget("cuda", 80, 32), Device(108, 163 * 1024)),
    "sm_90": (GPUTarget("cuda", 90, 32), Device(132, 227 * 1024)),
    "gfx942": (GPUTarget("hip", "gfx942", 64), Device(304, 65536, amd=True)),
}
BFLOAT, HALF, FLOAT = torch.bfloat16, torch.float16, torch.float32


class _NoGpu:
    """As much of Triton's driver as a launch asks before it launches."""

    def __init__(self, target):
        self.target = target

    def get_current_device(self):
        # Triton keeps kernels by device: none that is there.
        return f"no {self.target}"

    def get_current_stream(self, device=None):
        return 0

    def get_current_target(self):
        return TARGETS[self.target][0]


@pytest.fixture
def launched(put):
    """Makes a GPU of a target up, and lists what is launched there."""
    found = []
    run = triton.runtime.JITFunction.run

    def warm_up(self, *args, grid, warmup, **kwargs):
        kernel = run(self, *args, grid=grid, warmup=True, **kwargs)
        found.append((grid, kernel))

    def on(target="sm_90", together=True):
        gpu, device = TARGETS[target]
        device = dataclasses.replace(device, cooperative=together)
        hip = "7.0" if gpu.backend == "hip" else None
        put(torch.version, hip=hip)
        put(backend, _describe=lambda _: device)
        put(triton.runtime.driver, _active=_NoGpu(target))
        put(triton.runtime.JITFunction, run=warm_up)
        return found

    return on


def scan(hidden=512, batch=2, operand=BFLOAT, layernorm=False, steps=2):
    """A forward and a backward with all optional arguments."""
    spec = ScanSpec("tanh", 2, layernorm)
    w = torch.zeros(batch, steps, 2 * hidden)
    u = torch.zeros(2 * hidden, hidden, dtype=operand)
    state = torch.zeros(2 * batch, hidden)
    lengths = torch.full((batch,), steps)
    affine = torch.zeros(2 * hidden) if layernorm else None
    output, *saved = backend.scan_forward(
        spec, w, u, state, state, lengths, affine, affine, save=True
    )
    previous = torch.zeros(2, batch, steps, hidden)
    backend.scan_backward(
        spec, output, previous, *saved, u, state, lengths, affine
    )


def spilled(assembly, tmp_path):
    """Bytes or registers that the target's compiler spills."""
    if "amdgcn" in assembly:
        spill = r"\.[sv]gpr_spill_count: +(\d+)"
        counts = re.findall(spill, assembly["amdgcn"])
    else:
        path = tmp_path / "kernel.ptx"
        path.write_text(assembly["ptx"])
        arch = re.search(r"\.target (\w+)", assembly["ptx"]).group(1)
        # Triton brings two, of which it takes one by GPU and version.
        ptxas = get_ptxas(int(re.search(r"\d+", arch)[0])).path
        command = [ptxas, "-v", f"-arch={arch}", path, "-o", tmp_path / "cubin"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True
        )
        counts = re.findall(r"(\d+) bytes spill", done.stderr)
    assert len(counts) == 2
    return sum(map(int, counts))


# TIMIT's, LibriSpeech's and a large layer, and one whose steps are launched
# one by one; each target sees every type, model and launch mode.
CASES = [
    # target, operand, hidden, batch, layernorm, together
    ("sm_90", BFLOAT, 512, 8, False, True),
    ("sm_90", BFLOAT, 1024, 24, True, True),
    ("sm_90", HALF, 2048, 16, False, True),
    ("sm_90", FLOAT, 512, 64, True, True),
    ("sm_90", BFLOAT, 128, 8, True, False),
    ("sm_80", BFLOAT, 1024, 24, True, True),
    ("sm_80", FLOAT, 512, 8, False, True),
    ("gfx942", BFLOAT, 1024, 24, True, True),
    ("gfx942", HALF, 600, 3, False, False),
    ("gfx942", FLOAT, 512, 8, True, True),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_compiles_without_spills(case, launched, tmp_path):
    target, operand, hidden, batch, layernorm, together = case
    found = launched(target, together)
    scan(hidden, batch, operand, layernorm)
    kernels = {id(kernel): kernel for _, kernel in found}.values()
    # Apart, SLiGRU's steps are a product and what follows it.
    parts = 2 if layernorm and not together else 1
    assert len(kernels) == 2 * parts
    multiply = []
    for kernel in kernels:
        assert spilled(kernel.asm, tmp_path) == 0
        assert kernel.metadata.shared <= TARGETS[target][1].shared
        assert kernel.metadata.launch_cooperative_grid == together
        # Nothing is fetched ahead of the barrier, where it would be stale.
        assert "async_copy" not in kernel.asm["ttgir"]
        code = kernel.asm.get("ptx") or kernel.asm["amdgcn"]
        multiply.append(bool(re.search(r"mma\.sync|mfma", code)))
        # No tensor core rounds float32 unless torch's flag allows it.
        assert operand != FLOAT or "tf32" not in code
    assert operand == FLOAT or sum(multiply) == 2
    assert operand != FLOAT or target == "gfx942" or not any(multiply)


def test_a_spill_would_be_seen(launched, tmp_path):
    found = launched()
    scan(batch=8, layernorm=True)
    ptx = found[0][1].asm["ptx"]
    cramped = ptx.replace(".maxnreg 255", ".maxnreg 32")
    assert cramped != ptx
    assert spilled({"ptx": cramped}, tmp_path) > 0


def test_another_length_compiles_nothing(launched):
    """One cooperative launch a direction."""
    found = launched()
    for steps in (2, 5, 16, 33):
        scan(steps=steps, layernorm=True)
    assert [grid for grid, _ in found] == [(32,)] * 8
    kernels = {id(kernel): kernel for _, kernel in found}.values()
    assert len(kernels) == 2
    for kernel in kernels:
        assert kernel.metadata.num_warps == 8 and "cubin" in kernel.asm


def test_a_single_step_waits_for_nobody(launched):
    """A decoder's step: forward in one launch that is not cooperative."""
    found = launched()
    w, u = torch.randn(2, 1, 256), torch.randn(256, 128)
    given = w, u, torch.randn(2, 128), None, None, None, None
    backend.scan_forward(ScanSpec(), *given, save=False)
    ((_, kernel),) = found
    assert not kernel.metadata.launch_cooperative_grid
    assert "atom" not in kernel.asm["ptx"]
