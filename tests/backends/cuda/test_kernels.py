"""The CUDA kernels' source, run on a CPU under random schedules."""

import re

import conformance
import cuda_shim
import pytest
import torch
from cuda_shim import Shim
from scan_cases import drawn

from speechbrain_ligru_fast import ligru_scan
from speechbrain_ligru_fast.backends.cuda import build
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES

pytestmark = pytest.mark.usefixtures("poisoned_memory")

# Tier, sizes and where the weights stay: registers, shared memory and L2
# take part, padding is in every one, and 9 rows need a second tile.
CLUSTER = dict(tier="cluster", units=16, splits=2, rows=8, groups=1)
GRID = dict(tier="grid", units=32, splits=1, rows=8, groups=1)
FLOAT, BFLOAT, HALF = torch.float32, torch.bfloat16, torch.float16
KERNELS = {
    "cluster-fp32": (FLOAT, 25, dict(CLUSTER, held=1)),
    "cluster-tf32": ("tf32", 25, dict(CLUSTER, splits=1, held=1, kept=1)),
    "cluster-bf16": (BFLOAT, 40, dict(CLUSTER, units=32, rows=16)),
    "cluster-fp16": (HALF, 33, dict(CLUSTER, group=4, splits=1, groups=2)),
    "grid-fp32": (FLOAT, 50, dict(GRID, groups=2, held=1, kept=2)),
    "grid-bf16": (BFLOAT, 20, dict(GRID, units=16, rows=16, held=1)),
    # The operand in parts: of registers, shared memory and L2 each has some.
    "parts-fp32": (FLOAT, 50, dict(GRID, held=1, kept=2, parts=2)),
    # All weights from L2, as where nothing fits.
    "parts-bf16": (BFLOAT, 120, dict(GRID, splits=2, parts=2)),
}
LAYERNORM = ("cluster-fp32", "cluster-bf16", "grid-fp32", "parts-fp32")
CASES = [(name, False) for name in KERNELS] + [(n, True) for n in LAYERNORM]
SCHEDULES = 2

OPTIONS = (
    dict(h0=False),
    dict(directions=2, batch=5),
    dict(directions=2, lengths=True, mask=True),
    dict(batch=9, mask=True, lengths=True),
)


def check(shim, given, dtype=FLOAT, precision="ieee", backend="cuda"):
    """Equality within roundings of the operands, which are as ``dtype``."""
    limits = 2e-6, 1e-5
    if dtype != FLOAT:
        # Sums in another order can round an operand the other way.
        eps = torch.finfo(dtype).eps
        limits = 4 * eps, 8 * eps
    with cuda_shim.installed(shim, precision):
        conformance.check_equals(backend, given, *limits)


class TestConformance(conformance.Conformance):
    BACKENDS = ["cuda"]
    HIDDEN = [25]

    @pytest.fixture(autouse=True)
    def shim(self):
        sizes = dict(KERNELS["cluster-fp32"][2], group=2)
        with cuda_shim.installed(Shim(plans=sizes)) as shim:
            yield shim

    def test_nothing(self, backend, types, shim):
        sizes = [size for size in conformance.EMPTY_SIZES if 0 in size[:3]]
        conformance.check_empty(backend, *types, sizes=sizes)
        assert shim.used == []
        for lengths in ([0, 4, 2], [0, 0, 0]):
            given = drawn(25, directions=2)
            check(shim, {**given, "lengths": torch.tensor(lengths)})


@pytest.mark.parametrize("name, layernorm", CASES)
def test_equals_the_reference(name, layernorm):
    """Every option, each under several schedules."""
    dtype, hidden, sizes = KERNELS[name]
    # tf32's operands have fp16's precision.
    precision, judged = "ieee", dtype
    if dtype == "tf32":
        dtype, precision, judged = FLOAT, "tf32", HALF
    shim = Shim(plans=sizes)
    for i, options in enumerate(OPTIONS):
        options = dict(options, nonlinearity=NONLINEARITIES[i])
        if layernorm:
            options.update(layernorm=True, affine=i % 2 == 0)
        given = drawn(hidden, dtype, **options)
        for _ in range(SCHEDULES):
            check(shim, given, judged, precision)
    assert shim.seed == 2 * len(OPTIONS) * SCHEDULES
    assert {plan.tier for plan in shim.used} == {sizes["tier"]}


# In the backward: gradients need more than fp16's range.
@pytest.mark.parametrize("dtype, back", [(BFLOAT, "bf16"), (HALF, "tf32")])
def test_input_and_output_of_half_precision(dtype, back):
    """As above with w, output and gradients of 16 bits too."""
    shim = Shim()
    check(shim, drawn(20, dtype, dtype, directions=2, lengths=True), dtype)
    forward = "bf16" if dtype == BFLOAT else "fp16"
    assert [plan.operand for plan in shim.used] == [forward, back]


def test_planned_kernels_equal_the_reference():
    """What the planner itself takes on a small device, tiers and all."""
    cluster = Shim()
    check(cluster, drawn(60, BFLOAT, batch=9, steps=2), BFLOAT)
    grid = Shim(cuda_shim.Limits((7, 5), 4, 5000))
    check(grid, drawn(60, batch=9, steps=2))
    assert {plan.tier for plan in cluster.used} == {"cluster"}
    assert {plan.tier for plan in grid.used} == {"grid"}
    assert any(plan.parts > 1 for plan in grid.used)


def test_auto_goes_on_where_a_size_does_not_fit(caplog):
    shim = Shim(cuda_shim.Limits((8, 0), 1, 8192))
    given = drawn(200, steps=5)
    with pytest.raises(RuntimeError, match="H=200 fits no kernel here"):
        check(shim, given)
    for _ in range(2):
        check(shim, given, backend="auto")
    assert shim.used == []
    assert caplog.text.count("H=200") == 1


@pytest.mark.parametrize("sizes", [CLUSTER, GRID], ids=lambda x: x["tier"])
def test_a_wait_ends(sizes):
    """A CTA that never sends: the others give up and say so."""
    send = "exchange.send_stage();"
    shim = Shim(
        plans=sizes, edit=lambda text: text.replace(send, f"if (cta) {send}")
    )
    shim.spins, shim.strict = 500, False
    with cuda_shim.installed(shim), torch.no_grad():
        output = ligru_scan(**drawn(50, batch=2), backend="cuda")
    assert shim.error == cuda_shim.TICKET
    assert output.isnan().all()


def mistakes():
    """Where the barriers are: of both tiers, and of both kernels."""
    for tier, backward in (("cluster", False), ("grid", True)):
        text = build.source(backward)
        # Words are received, and operands in parts, in the grid tier alone.
        words = text.index("receive_words(const char"), text.index("*words(u32")
        parts = text.index("if (part > 0)"), text.index("= receive(part)")
        for match in re.finditer(r"\n[ =\w]*__syncthreads\w*\(\w*\);", text):
            grids = (a < match.start() < b for a, b in (words, parts))
            if tier == "grid" or not any(grids):
                line = text[: match.start() + 1].count("\n")
                yield pytest.param(
                    tier, backward, match.span(), id=f"{tier}-line{line}"
                )


def fails(tier, backward, edit, layernorm=True):
    """Whether a planted mistake shows in one of a few schedules."""
    sizes = CLUSTER if tier == "cluster" else dict(GRID, parts=2)
    hidden = 25 if tier == "cluster" else 50
    given = drawn(hidden, layernorm=layernorm, batch=9)
    original = build.source(backward)

    def planted(text):
        return edit(text) if text == original else text

    for seed in range(12):
        shim = Shim(plans=sizes, seed=2 * seed, edit=planted)
        shim.spins = 20000
        try:
            check(shim, given)
        except (AssertionError, RuntimeError):
            return True
    return False


@pytest.mark.parametrize("tier, backward, span", mistakes())
def test_a_missing_barrier_shows(tier, backward, span):
    assert fails(tier, backward, lambda text: text[: span[0]] + text[span[1] :])


@pytest.mark.parametrize(
    "tier, buffers",
    [
        ("cluster", ["number % 2 * OPERAND_BYTES", "index * OPERAND_BYTES"]),
        ("grid", ["count % 2"]),
    ],
)
def test_a_single_buffer_shows(tier, buffers):
    """LiGRU's exchange needs two buffers; SLiGRU's sums wait for readers."""

    def edit(text):
        for index in buffers:
            assert index in text
            text = text.replace(index, "0")
        return text

    assert fails(tier, False, edit, layernorm=False)
