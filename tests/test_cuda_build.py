"""Kernels compile for every architecture; the cubin cache; the planner."""

import dataclasses
import errno
import functools
import itertools
import os
import pathlib
import re
import shutil
import stat
import uuid

import pytest
from full_disk import on_full_disk

from speechbrain_ligru_fast.backends.cuda import build, cubins
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
# On the others a quarter of the kinds is compiled, but by `make kernels`.
DIFFERENT = ("sm_75", "sm_90a", "sm_120")
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
    if arch not in DIFFERENT and not os.environ.get("LIGRU_ALL_KERNELS"):
        chosen_kernels = chosen_kernels[::4]
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
    cubins._said.clear()
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
    folder = cubins.folder()
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
    (path,) = cubins.folder().iterdir()
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


def test_an_entry_under_another_name_is_built_again(cache):
    """Another kernel's code would run, with this one's arguments."""
    compiled, get = cache
    get("sm_90a", MACROS)
    (path,) = cubins.folder().iterdir()
    path.rename(path.with_name("other"))
    get("sm_80", MACROS)
    (other,) = cubins.folder().glob("*.cubin")
    path.with_name("other").replace(other)
    assert get("sm_80", MACROS) == b"cubin 3"


@pytest.mark.parametrize("place", ["file", "below a file", "/proc/none"])
def test_no_folder_no_cache(cache, monkeypatch, tmp_path, caplog, place):
    """A cache that can't be had costs time, and one warning."""
    _, get = cache
    (tmp_path / "file").write_text("")
    places = {"file": "file", "below a file": "file/below"}
    place = tmp_path / places.get(place, place)
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", str(place))
    assert get("sm_90a", MACROS) == b"cubin 1"
    assert get("sm_90a", MACROS) == b"cubin 2"
    (record,) = caplog.records
    assert "SPEECHBRAIN_LIGRU_CACHE to a folder" in record.getMessage()
    assert str(place) in record.getMessage()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o2775, 0o755, 0o700])
def test_a_shared_folder_keeps_its_mode(cache, tmp_path, mode, caplog):
    """Each user has a folder of their own in it."""
    compiled, get = cache
    shared = tmp_path / "cache"
    shared.mkdir()
    shared.chmod(mode)
    for _ in range(2):
        get("sm_90a", MACROS)
    assert len(compiled) == 1 and not caplog.records
    assert stat.S_IMODE(shared.stat().st_mode) == mode
    (own,) = shared.iterdir()
    assert own == cubins.folder() and str(os.getuid()) in own.name
    assert stat.S_IMODE(own.stat().st_mode) & 0o777 == 0o700


@pytest.mark.parametrize("what", ["mode", "owner", "link", "file"])
def test_nothing_is_loaded_where_others_write(
    cache, monkeypatch, tmp_path, what, caplog
):
    """It is said, and the folder is left as it was."""
    _, get = cache
    get("sm_90a", MACROS)
    own = cubins.folder()
    if what == "mode":
        own.chmod(0o720)
    elif what == "owner":
        genuine = pathlib.Path.lstat

        def lstat(path):
            found = list(genuine(path))
            found[4] += path == own
            return os.stat_result(found)

        monkeypatch.setattr(pathlib.Path, "lstat", lstat)
    else:
        own.rename(tmp_path / "elsewhere")
        if what == "link":
            own.symlink_to(tmp_path / "elsewhere")
        else:
            own.write_text("")
    before = own.lstat()
    for number in (2, 3):
        assert get("sm_90a", MACROS) == f"cubin {number}".encode()
    assert own.lstat()[:7] == before[:7]
    (record,) = caplog.records
    assert f"{own} is no folder that this user" in record.getMessage()


@pytest.mark.parametrize("what", ["mode", "link", "pipe", "folder"])
def test_an_entry_that_others_could_write_is_built_again(cache, what, tmp_path):
    _, get = cache
    get("sm_90a", MACROS)
    (path,) = cubins.folder().iterdir()
    if what == "mode":
        path.chmod(0o666)
    else:
        path.rename(tmp_path / "elsewhere")
    if what == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    assert get("sm_90a", MACROS) == b"cubin 2"


@pytest.mark.parametrize("code", ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EIO"])
@pytest.mark.parametrize("step", ["mkstemp", "replace"])
def test_a_disk_that_takes_nothing(cache, monkeypatch, step, code, caplog):
    """Full or read-only: what was compiled is used all the same."""
    _, get = cache

    def fail(*args, **kwargs):
        # As the system's: with a name that is another one each time.
        name = f"/tmp/{uuid.uuid4()}"
        raise OSError(getattr(errno, code), "as on such a disk", name)

    module = cubins.tempfile if step == "mkstemp" else cubins.os
    monkeypatch.setattr(module, step, fail)
    monkeypatch.setattr(cubins.os, "unlink", fail)
    assert get("sm_90a", MACROS) == b"cubin 1"
    assert get("sm_90a", MACROS) == b"cubin 2"
    (record,) = caplog.records
    assert "as on such a disk" in record.getMessage()


def test_a_full_disk_leaves_no_torn_entry(cache, caplog):
    _, get = cache
    folder = cubins.folder()

    def write():
        cubins.write(folder / "a.cubin", bytes(9999))
        assert "File too large" in caplog.text
        assert not list(folder.iterdir())
        assert get("sm_90a", MACROS) == b"cubin 1"

    on_full_disk(write, 500)


def test_a_folder_that_vanishes(cache, tmp_path):
    compiled, get = cache
    get("sm_90a", MACROS)
    shutil.rmtree(tmp_path / "cache")
    get("sm_90a", MACROS)
    get("sm_90a", MACROS)
    assert len(compiled) == 2


@pytest.mark.parametrize("named", [None, "", "~/named"])
def test_the_folder_of_who_names_none(cache, monkeypatch, tmp_path, named):
    own = f"cubins-{os.getuid()}"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("SPEECHBRAIN_LIGRU_CACHE")
    if named is not None:
        monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", named)
    place = "named" if named else ".cache/speechbrain_ligru_fast"
    assert cubins.folder() == tmp_path / place / own


def test_a_user_without_a_home(cache, monkeypatch, tmp_path, caplog):
    """A container's, whose number no file names: no folder called ~."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPEECHBRAIN_LIGRU_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cubins.folder() is None
    assert "no home" in caplog.text and not list(tmp_path.iterdir())


def test_a_system_without_owners(cache, monkeypatch, caplog):
    """Windows tells no user's number: no folder is known to be safe."""
    _, get = cache
    monkeypatch.delattr(os, "getuid")
    assert cubins.folder() is None
    assert get("sm_90a", MACROS) == b"cubin 1"
    assert len(caplog.records) == 1
