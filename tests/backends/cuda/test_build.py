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
from speechbrain_ligru_fast.backends.cuda.plan import plan

pytest.importorskip("cuda.core", reason="the extra [cuda] is not installed")

# `make kernels` compiles all: minutes. Else each kind once on two that have
# little in common, and a quarter of the kinds on the others.
ALL = bool(os.environ.get("LIGRU_ALL_KERNELS"))
WHOLE = ("sm_75", "sm_90a")
MACROS = {"IO": 0, "ACTIVATION": 0, "LEAKY_SLOPE": "0.01f"}


def kernels(arch, operand):
    """Every kernel that a few sizes and options lead to, once."""
    found = {}
    for hidden, rows, backward, layernorm in itertools.product(
        (64, 256, 512, 1024, 2048),
        (16, 48, 128),
        (False, True),
        (False, True),
    ):
        chosen = plan(hidden, rows, operand, DEVICES[arch], backward, layernorm)
        found.setdefault(tuple(chosen.macros().items()), chosen)
    return list(found.values())


def kinds(arch, operand):
    """One kernel of each kind, the one that holds most in registers.

    A kind is tier, direction, LayerNorm and whether the operand passes in
    parts.
    """
    found = {}
    for chosen in sorted(
        kernels(arch, operand), key=lambda k: (k.held, k.rows, k.units)
    ):
        kind = (
            chosen.tier, chosen.backward, chosen.layernorm, chosen.parts > 1,
        )  # fmt: skip
        found[kind] = chosen
    # Both ways, with and without LayerNorm.
    assert len(found) >= 4
    found = list(found.values())
    if arch in WHOLE:
        return found
    # Each type has a quarter of its own.
    return found[operands(arch).index(operand) :: 4]


def spilled(report):
    """Bytes of spill stores and spill loads, as ptxas reports them."""
    return [
        int(count)
        for count in re.findall(r"(\d+) bytes spill (?:stores|loads)", report)
    ]


@pytest.mark.parametrize(
    "arch, operand",
    [(arch, operand) for arch in DEVICES for operand in operands(arch)],
)
def test_compiles_without_spills(arch, operand):
    assert DEVICES[arch].arch == arch
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
    _, report = build.compile_cubin(greedy, "sm_90a", MACROS)
    assert spilled(report) != [0, 0]
