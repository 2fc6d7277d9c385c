"""Ahead-of-time compilation, for GPUs that are not here.

The compilers' reports are read as well: what spills registers or needs more
shared memory than there is would be slow, or not run at all.
"""

import re
import subprocess

import pytest
import torch

triton = pytest.importorskip("triton")

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.backends.nvidia.compiler import get_ptxas  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from speechbrain_ligru_fast.backends import triton as backend  # noqa: E402
from speechbrain_ligru_fast.backends.spec import ScanSpec  # noqa: E402
from speechbrain_ligru_fast.backends.triton.backward import (  # noqa: E402
    backward_kernel,
)
from speechbrain_ligru_fast.backends.triton.forward import (  # noqa: E402
    forward_kernel,
)
from speechbrain_ligru_fast.backends.triton.plan import (  # noqa: E402
    Device,
    plan,
)

TARGETS = {
    "sm_80": (GPUTarget("cuda", 80, 32), Device(108, 163 * 1024)),
    "sm_90": (GPUTarget("cuda", 90, 32), Device(132, 227 * 1024)),
    "gfx942": (GPUTarget("hip", "gfx942", 64), Device(304, 65536, amd=True)),
}
OPERANDS = {"bf16": 2, "fp16": 2, "fp32": 4}
INTEGERS = (
    "batch", "steps", "first", "last", "first_group", "launch", "spin_limit",
)  # fmt: skip
POINTERS = {"lengths": "*i64", "counters": "*i32", "failure": "*i32"}
LAYERNORM_ONLY = (
    "ln_weight", "ln_bias", "normed", "rstd", "products", "moments",
    "dprojected",
)  # fmt: skip


def compiled(kernel, target, operand, hidden, rows, layernorm, steps, phase):
    """The kernel for a target, with all optional arguments."""
    gpu, device = TARGETS[target]
    how = plan(
        device, hidden, rows, OPERANDS[operand], steps,
        kernel is backward_kernel,
    )  # fmt: skip
    constants = dict(
        HIDDEN=hidden,
        DIRECTIONS=2,
        NONLINEARITY="tanh",
        LAYERNORM=layernorm,
        PRECISION="ieee",
        BLOCK_ROWS=how.block_rows,
        BLOCK_UNITS=how.block_units,
        SPLITS=how.splits,
        BLOCK_K=how.block_k,
        RESIDENT=how.resident,
        PERSISTENT=how.persistent,
        MULTIPLY=phase != "update",
        UPDATE=phase != "multiply",
    )
    if not layernorm:
        constants.update(
            (name, None) for name in LAYERNORM_ONLY if name in kernel.arg_names
        )
    types, aligned = {}, {}
    for i, name in enumerate(kernel.arg_names):
        if name in constants:
            types[name] = "constexpr"
        elif name in INTEGERS:
            types[name] = "i32"
        elif name == "eps":
            types[name] = "fp32"
        else:
            exchanged = name in ("u", "exchange")
            types[name] = POINTERS.get(name, f"*{operand}" * exchanged)
            types[name] = types[name] or "*fp32"
            aligned[(i,)] = [["tt.divisibility", 16]]
    options = dict(num_warps=how.splits, num_stages=1, enable_fp_fusion=True)
    if gpu.backend == "cuda":
        options["maxnreg"] = 255
    options["launch_cooperative_grid"] = how.persistent
    return how, triton.compile(
        ASTSource(kernel, types, constants, aligned),
        target=gpu,
        options=options,
    )


def spilled(target, assembly, tmp_path):
    """Bytes or registers that the target's compiler spills."""
    if not target.startswith("sm"):
        counts = re.findall(
            r"\.[sv]gpr_spill_count: +(\d+)", assembly["amdgcn"]
        )
        assert len(counts) == 2
        return sum(map(int, counts))
    path = tmp_path / "kernel.ptx"
    path.write_text(assembly["ptx"])
    arch = re.search(r"\.target (\w+)", assembly["ptx"]).group(1)
    # Triton brings two, of which it takes one by GPU and version.
    ptxas = get_ptxas(int(re.search(r"\d+", arch)[0])).path
    report = subprocess.run(
        [ptxas, "-v", f"-arch={arch}", path]
        + ["-o", tmp_path / "kernel.cubin"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    counts = re.findall(r"(\d+) bytes spill", report)
    assert len(counts) == 2
    return sum(map(int, counts))


# TIMIT's, LibriSpeech's and a large layer, a decoder's step; each target
# sees every type, model and launch mode.
CASES = [
    # target, operand, hidden, rows, layernorm, steps, phase
    ("sm_90", "bf16", 512, 16, False, 100, "both"),
    ("sm_90", "bf16", 1024, 48, True, 100, "both"),
    ("sm_90", "fp16", 2048, 32, False, 100, "both"),
    ("sm_90", "fp32", 512, 128, True, 100, "both"),
    ("sm_90", "bf16", 128, 16, True, 1, "multiply"),
    ("sm_90", "bf16", 128, 16, True, 1, "update"),
    ("sm_80", "bf16", 1024, 48, True, 100, "both"),
    ("sm_80", "fp32", 512, 16, False, 100, "both"),
    ("gfx942", "bf16", 1024, 48, True, 100, "both"),
    ("gfx942", "fp16", 600, 5, False, 1, "both"),
    ("gfx942", "fp32", 512, 16, True, 100, "both"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("kernel", [forward_kernel, backward_kernel])
def test_compiles_without_spills(kernel, case, tmp_path):
    target, operand, hidden, rows, layernorm, steps, phase = case
    how, result = compiled(kernel, *case)
    assert how.persistent == (steps > 1)
    assert spilled(target, result.asm, tmp_path) == 0
    assert result.metadata.shared <= TARGETS[target][1].shared
    # Nothing is fetched ahead of the barrier, where it would be stale.
    assert "async_copy" not in result.asm["ttgir"]
    if operand != "fp32" and phase != "update":
        instructions = "".join(
            result.asm.get(kind, "") for kind in ("ptx", "amdgcn")
        )
        assert re.search(r"mma\.sync|mfma", instructions)


def test_float32_stays_float32():
    """No tensor core rounds its operands unless torch's flag allows it."""
    _, result = compiled(
        forward_kernel, "sm_90", "fp32", 512, 16, False, 100, "both"
    )
    assert "tf32" not in result.asm["ptx"] and "mma" not in result.asm["ptx"]


def test_a_spill_would_be_seen(tmp_path):
    _, result = compiled(
        forward_kernel, "sm_90", "bf16", 512, 16, True, 100, "both"
    )
    cramped = result.asm["ptx"].replace(".maxnreg 255", ".maxnreg 32")
    assert cramped != result.asm["ptx"]
    assert spilled("sm_90", {"ptx": cramped}, tmp_path) > 0


class _NoGpu:
    """As much of Triton's driver as a launch asks before it launches."""

    def get_current_device(self):
        # Triton keeps kernels by device: none that is there.
        return -1

    def get_current_stream(self, device=None):
        return 0

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)


@pytest.fixture
def launched(monkeypatch):
    """What the backend would launch on an H100: (grid, compiled kernel)."""
    found = []
    run = triton.runtime.JITFunction.run

    def warm_up(self, *args, grid, warmup, **kwargs):
        kernel = run(self, *args, grid=grid, warmup=True, **kwargs)
        found.append((grid, kernel))

    monkeypatch.setattr(triton.runtime.JITFunction, "run", warm_up)
    monkeypatch.setattr(triton.runtime.driver, "_active", _NoGpu())
    return found


def scan(steps, layernorm, batch=2, hidden=512):
    """A forward and a backward as the operator calls them."""
    spec = ScanSpec("relu", 2, layernorm)
    w = torch.randn(batch, steps, 2 * hidden)
    u = torch.randn(2 * hidden, hidden).bfloat16()
    output, *saved = backend.scan_forward(
        spec, w, u, None, None, None, None, None, save=True
    )
    previous = torch.zeros(2, batch, steps, hidden)
    backend.scan_backward(spec, output, previous, *saved, u, None, None, None)


def test_what_the_backend_launches_compiles(launched):
    """Arguments by name, options, one cooperative launch a direction."""
    scan(5, layernorm=True)
    assert [grid for grid, _ in launched] == [(32,), (32,)]
    for _, kernel in launched:
        assert kernel.metadata.launch_cooperative_grid
        assert kernel.metadata.num_warps == 8
        assert "cubin" in kernel.asm


def test_another_length_compiles_nothing(launched):
    for steps in (2, 5, 16, 33):
        scan(steps, layernorm=False)
    kernels = {id(kernel) for _, kernel in launched}
    assert len(launched) == 8 and len(kernels) == 2


def test_a_single_step_waits_for_nobody(launched):
    """A decoder's step: forward in one launch that is not cooperative."""
    spec = ScanSpec()
    w, u = torch.randn(2, 1, 256), torch.randn(256, 128)
    h0 = torch.randn(2, 128)
    backend.scan_forward(spec, w, u, h0, None, None, None, None, save=False)
    (grid, kernel) = launched.pop()
    assert not launched and not kernel.metadata.launch_cooperative_grid
    assert "atom" not in kernel.asm["ptx"]
