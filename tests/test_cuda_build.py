"""Kernels compile for every architecture; the cubin cache; the planner."""

import dataclasses
import functools
import itertools
import os
import re
import stat

import pytest

from speechbrain_ligru_fast.backends.cuda import build
from speechbrain_ligru_fast.backends.cuda.plan import Limits, plan

pytest.importorskip("cuda.core", reason="the extra [cuda] is not installed")

# Datasheet limits of one GPU per architecture.
DEVICES = {
    "sm_75": Limits((7, 5), 40, 65536),
    "sm_80": Limits((8, 0), 108, 166912),
    "sm_86": Limits((8, 6), 84, 101376),
    "sm_89": Limits((8, 9), 128, 101376),
    "sm_90a": Limits((9, 0), 132, 232448, 16),
    "sm_100a": Limits((10, 0), 148, 232448, 16),
    "sm_120": Limits((12, 0), 170, 101376, 8),
}
MACROS = {"IO": 0, "ACTIVATION": 0, "LEAKY_SLOPE": "0.01f"}


def operands(arch):
    half = ("fp16",) if arch == "sm_75" else ("fp16", "bf16", "tf32")
    return ("fp32", *half)


def kernels(arch):
    """Every kernel that a few sizes, types and options lead to, once."""
    found = {}
    for hidden, rows, operand, backward, layernorm in itertools.product(
        (64, 256, 512, 1024, 2048),
        (16, 48, 128),
        operands(arch),
        (False, True),
        (False, True),
    ):
        chosen = plan(hidden, rows, operand, DEVICES[arch], backward, layernorm)
        found.setdefault(tuple(chosen.macros().items()), chosen)
    return list(found.values())


def variants(arch):
    """One kernel of each kind; all with LIGRU_ALL_KERNELS=1 (minutes).

    A kind is tier, type, direction, LayerNorm and whether the operand passes
    in parts; of each the one that holds most in registers.
    """
    found = kernels(arch)
    if os.environ.get("LIGRU_ALL_KERNELS"):
        return found
    kinds = {}
    for chosen in sorted(found, key=lambda k: (k.held, k.rows, k.units)):
        kind = (
            chosen.tier, chosen.operand, chosen.backward, chosen.layernorm,
            chosen.parts > 1,
        )  # fmt: skip
        kinds[kind] = chosen
    return list(kinds.values())


def spilled(report):
    """Bytes of spill stores and spill loads, as ptxas reports them."""
    return [
        int(count)
        for count in re.findall(r"(\d+) bytes spill (?:stores|loads)", report)
    ]


@pytest.mark.parametrize("arch", DEVICES)
def test_compiles_without_spills(arch):
    """The compiler's own report, held against the plan and the limits."""
    limits = DEVICES[arch]
    assert limits.arch == arch
    chosen_kernels = variants(arch)
    # Each type both ways, with and without LayerNorm.
    assert len(chosen_kernels) >= 4 * len(operands(arch))
    for chosen in chosen_kernels:
        cubin, report = build.compile_cubin(chosen, arch, MACROS)
        assert cubin.startswith(b"\x7fELF")
        what = f"{chosen.describe()}\n{report}"
        assert spilled(report) == [0, 0], what
        (registers,) = re.findall(r"Used (\d+) registers", report)
        assert int(registers) <= chosen.registers, what
        assert int(registers) * chosen.threads <= 65536, what
        assert chosen.shared_bytes <= limits.shared_bytes, what
        # Weights that are indexed at run time would lie in local memory.
        assert "0 bytes stack frame" in report, what


def test_a_spill_would_show():
    """Weights that don't fit the registers are seen by the test above."""
    chosen = plan(1024, 48, "bf16", DEVICES["sm_90a"])
    assert chosen.held < chosen.blocks
    greedy = dataclasses.replace(chosen, held=chosen.blocks, kept=0)
    _, report = build.compile_cubin(greedy, "sm_90a", MACROS)
    assert spilled(report) != [0, 0]


@pytest.mark.parametrize("arch", DEVICES)
def test_every_common_size_has_a_plan(arch):
    limits = DEVICES[arch]
    for hidden, rows, backward, layernorm in itertools.product(
        (1, 16, 17, 33, 100, 128, 320, 512, 777, 1024, 2000, 2048),
        (1, 16, 128, 1000),
        (False, True),
        (False, True),
    ):
        for operand in operands(arch):
            chosen = plan(hidden, rows, operand, limits, backward, layernorm)
            assert chosen is not None, (hidden, rows, operand, backward)
            assert chosen.padded >= hidden
            assert chosen.blocks >= chosen.held + chosen.kept
            assert chosen.shared_bytes <= limits.shared_bytes
            assert chosen.group * chosen.groups <= limits.processors
            assert (chosen.tier == "grid") or limits.cluster > 1


def test_plans_on_a_hopper():
    """Workloads of the benchmarks: tier, and weights that stay on chip."""
    limits = DEVICES["sm_90a"]
    for hidden, rows in (
        (128, 8),
        (256, 16),
        (512, 16),
        (512, 128),
        (1024, 48),
    ):
        for backward in (False, True):
            chosen = plan(hidden, rows, "bf16", limits, backward)
            assert chosen.tier == "cluster"
            assert chosen.held + chosen.kept == chosen.blocks
    assert plan(2048, 32, "bf16", limits).tier == "grid"
    assert plan(100_000, 32, "bf16", limits) is None
    # The driver may grant fewer clusters than there are processors for.
    few = Limits((9, 0), 132, 232448, 16, ((16, 3),))
    assert plan(512, 48, "bf16", limits).groups == 6
    chosen = plan(512, 48, "bf16", few)
    assert chosen.group != 16 or chosen.groups <= 3
    none = Limits((9, 0), 132, 232448, 16, tuple((n, 0) for n in range(17)))
    assert plan(512, 48, "bf16", none).tier == "grid"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and a list of what was compiled."""
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", str(tmp_path / "cache"))
    compiled = []

    def compile_cubin(plan, arch, macros):
        compiled.append(arch)
        return f"cubin {len(compiled)}".encode(), ""

    monkeypatch.setattr(build, "compile_cubin", compile_cubin)
    chosen = plan(64, 8, "fp32", DEVICES["sm_90a"])
    return compiled, functools.partial(build.cubin, chosen)


def test_a_cubin_is_compiled_once(cache):
    compiled, get = cache
    assert get("sm_90a", MACROS) == get("sm_90a", MACROS) == b"cubin 1"
    assert get("sm_80", MACROS) == b"cubin 2"
    assert get("sm_90a", {**MACROS, "ACTIVATION": 1}) == b"cubin 3"
    assert compiled == ["sm_90a", "sm_80", "sm_90a"]
    folder = build.cache_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.suffix for path in folder.iterdir()} == {".cubin"}


def test_another_source_or_compiler_is_another_entry(cache, monkeypatch):
    compiled, get = cache
    get("sm_90a", MACROS)
    monkeypatch.setattr(build, "compiler_version", lambda: "0.0")
    get("sm_90a", MACROS)
    monkeypatch.setattr(build, "source", lambda backward: "other")
    get("sm_90a", MACROS)
    assert len(compiled) == 3


@pytest.mark.parametrize("damage", ["torn", "foreign", "empty", "flipped"])
def test_a_damaged_entry_is_built_again(cache, damage):
    compiled, get = cache
    get("sm_90a", MACROS)
    (path,) = build.cache_folder().iterdir()
    data = path.read_bytes()
    path.write_bytes(
        {
            "torn": data[:-3],
            "foreign": b"\x7fELF something else",
            "empty": b"",
            "flipped": data[:-1] + bytes([data[-1] ^ 1]),
        }[damage]
    )
    assert get("sm_90a", MACROS) == b"cubin 2"
    assert get("sm_90a", MACROS) == b"cubin 2"
    assert len(compiled) == 2


def test_no_folder_no_cache(cache, monkeypatch, tmp_path):
    """A cache that can't be had costs time, nothing else."""
    compiled, get = cache
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", str(tmp_path / "file"))
    assert get("sm_90a", MACROS) == b"cubin 1"
    assert get("sm_90a", MACROS) == b"cubin 2"
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: 12345678)
    assert build.cache_folder() is None


@pytest.mark.parametrize("step", ["mkstemp", "replace"])
def test_a_disk_that_takes_nothing(cache, monkeypatch, step):
    """Full or read-only: what was compiled is used all the same."""
    _, get = cache

    def fail(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(
        build.tempfile if step == "mkstemp" else build.os, step, fail
    )
    monkeypatch.setattr(build.os, "unlink", fail)
    assert get("sm_90a", MACROS) == b"cubin 1"
    assert get("sm_90a", MACROS) == b"cubin 2"


def test_a_system_without_owners(cache, monkeypatch):
    """Windows tells no user's number: no folder is known to be safe."""
    _, get = cache
    monkeypatch.delattr(os, "getuid")
    assert build.cache_folder() is None
    assert get("sm_90a", MACROS) == b"cubin 1"
