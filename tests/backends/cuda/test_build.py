"""Kernels compile for every architecture, without a GPU.

The compiler's own report is held against the plan: what spills registers, or
needs more shared memory than there is, would be slow or not run at all.
"""

import dataclasses
import itertools
import os
import re

import pytest
from cuda_devices import DEVICES, H100, operands

from speechbrain_ligru_fast.backends.cuda import build
from speechbrain_ligru_fast.backends.cuda.plan import Limits, plan
from speechbrain_ligru_fast.backends.failures import CannotRun

pytest.importorskip("cuda.core", reason="the extra [cuda] is not installed")

# `make kernels` compiles all: minutes. Else each kind once on two that have
# little in common, and a quarter of the kinds on the others.
ALL = bool(os.environ.get("LIGRU_ALL_KERNELS"))
WHOLE = ("sm_75", "sm_90")
MACROS = {"IO": 0, "ACTIVATION": 0, "LEAKY_SLOPE": "0.01f"}


def kernels(arch, operand):
    """Every kernel that a few sizes and options lead to, once."""
    found = {}
    sizes = (64, 256, 512, 1024, 2048), (16, 48, 128)
    flags = (False, True), (False, True)
    for hidden, rows, *options in itertools.product(*sizes, *flags):
        chosen = plan(hidden, rows, operand, DEVICES[arch], *options)
        found.setdefault(tuple(chosen.macros().items()), chosen)
    return list(found.values())


def kinds(arch, operand):
    """One kernel of each kind, the one that holds most in registers.

    A kind is tier, direction, LayerNorm and whether the operand passes in
    parts.
    """
    every = sorted(
        kernels(arch, operand), key=lambda k: (k.held, k.rows, k.units)
    )
    found = {(k.tier, k.backward, k.layernorm, k.parts > 1): k for k in every}
    # Both ways, with and without LayerNorm.
    assert len(found) >= 4
    found = list(found.values())
    # Each type has a quarter of its own.
    quarter = found[operands(arch).index(operand) :: 4]
    return found if arch in WHOLE else quarter


def spilled(report):
    """Bytes of spill stores and spill loads, as ptxas reports them."""
    counts = re.findall(r"(\d+) bytes spill (?:stores|loads)", report)
    return list(map(int, counts))


@pytest.mark.parametrize(
    "arch, operand", [(a, operand) for a in DEVICES for operand in operands(a)]
)
def test_compiles_without_spills(arch, operand):
    assert build.architecture(DEVICES[arch].capability) == arch
    for chosen in (kernels if ALL else kinds)(arch, operand):
        cubin, report = build.compile_cubin(chosen, arch, MACROS)
        assert cubin.startswith(b"\x7fELF")
        what = f"{chosen.describe()}\n{report}"
        assert spilled(report) == [0, 0], what
        (registers,) = re.findall(r"Used (\d+) registers", report)
        assert int(registers) <= chosen.registers, what
        assert int(registers) * chosen.threads <= 65536, what
        assert chosen.shared_bytes <= DEVICES[arch].shared_bytes, what
        # Weights that are indexed at run time would lie in local memory.
        assert "0 bytes stack frame" in report, what


def test_a_spill_would_show():
    """Weights that don't fit the registers are seen by the test above."""
    chosen = plan(1024, 48, "bf16", H100)
    assert chosen.held < chosen.blocks
    greedy = dataclasses.replace(chosen, held=chosen.blocks, kept=0)
    _, report = build.compile_cubin(greedy, "sm_90", MACROS)
    assert spilled(report) != [0, 0]


def test_every_architecture_that_nvrtc_knows():
    """By what it can do: nobody has to list them.

    Each of the others compiles one of the kernels, or all if told to.
    """
    numbers = {n for n in build.architectures() if n >= 75}
    assert {88, 103, 110, 121} <= numbers
    others = numbers - {int(name.removeprefix("sm_")) for name in DEVICES}
    every = list(itertools.product((False, True), repeat=2))
    for i, number in enumerate(sorted(others)):
        capability = divmod(number, 10)
        cluster = 8 if capability >= (9, 0) else 1
        limits = Limits(capability, 16, 101376, cluster)
        assert build.architecture(capability) == f"sm_{number}"
        for j, options in enumerate(every):
            chosen = plan(256, 16, "bf16", limits, *options)
            assert chosen.tier == ("cluster" if cluster > 1 else "grid")
            if ALL or i % len(every) == j:
                _, report = build.compile_cubin(chosen, f"sm_{number}", MACROS)
                assert spilled(report) == [0, 0]


def test_a_device_that_is_newer_than_nvrtc(monkeypatch):
    monkeypatch.setattr(build, "architectures", lambda: (75, 80, 86, 90, 120))
    assert build.architecture((8, 9)) == "sm_86"
    assert build.architecture((12, 1)) == "sm_120"
    with pytest.raises(CannotRun, match="no code for compute capability 13.0"):
        build.architecture((13, 0))


def test_no_machine_code_is_an_error():
    """NVRTC calls it a success: only a name with sm_ gives machine code."""
    with pytest.raises(RuntimeError, match="made no machine code for compute"):
        build.compile_cubin(plan(64, 8, "bf16", H100), "compute_90", MACROS)
