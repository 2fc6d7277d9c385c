"""The CUDA kernels' source, run on a CPU under random schedules."""

import itertools
import re

import cuda_shim
import pytest
import scan_checks
import torch
from scan_cases import drawn

from speechbrain_ligru_fast import ligru_scan
from speechbrain_ligru_fast.backends import cuda
from speechbrain_ligru_fast.backends.cuda import build
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES

pytestmark = pytest.mark.usefixtures("poisoned_memory")

# Tier, sizes and where the weights stay: registers, shared memory and L2
# take part, padding is in every one, and 9 rows need a second tile.
CLUSTER = dict(tier="cluster", units=16, splits=2, rows=8, groups=1)
GRID = dict(tier="grid", units=32, splits=1, rows=8, groups=1)
KERNELS = {
    "cluster-fp32": (torch.float32, 25, dict(CLUSTER, held=1)),
    "cluster-tf32": ("tf32", 25, dict(CLUSTER, splits=1, held=1, kept=1)),
    "cluster-bf16": (torch.bfloat16, 40, dict(CLUSTER, units=32, rows=16)),
    "cluster-fp16": (
        torch.float16,
        33,
        dict(CLUSTER, group=4, splits=1, groups=2),
    ),
    "grid-fp32": (torch.float32, 50, dict(GRID, groups=2, held=1, kept=2)),
    "grid-bf16": (torch.bfloat16, 20, dict(GRID, units=16, rows=16, held=1)),
    # The operand in parts: of registers, shared memory and L2 each has some.
    "parts-fp32": (torch.float32, 50, dict(GRID, held=1, kept=2, parts=2)),
    # All weights from L2, as where nothing fits.
    "parts-bf16": (torch.bfloat16, 120, dict(GRID, splits=2, parts=2)),
}
LAYERNORM = ("cluster-fp32", "cluster-bf16", "grid-fp32", "parts-fp32")
SCHEDULES = 2

OPTIONS = (
    dict(h0=False),
    dict(directions=2, batch=5),
    dict(directions=2, lengths=True, mask=True),
    dict(batch=9, mask=True, lengths=True),
)


def cases():
    for name, layernorm in itertools.product(KERNELS, (False, True)):
        if not layernorm or name in LAYERNORM:
            yield pytest.param(
                name, layernorm, id=name + ("-layernorm" if layernorm else "")
            )


def check(shim, given, dtype=torch.float32, precision="ieee", backend="cuda"):
    """Equality within roundings of the operands, which are as ``dtype``."""
    limits = 2e-6, 1e-5
    if dtype != torch.float32:
        # Sums in another order can round an operand the other way.
        eps = torch.finfo(dtype).eps
        limits = 4 * eps, 8 * eps
    with cuda_shim.installed(shim, precision):
        scan_checks.check_equals(backend, given, *limits)


@pytest.mark.parametrize("name, layernorm", cases())
def test_equals_the_reference(name, layernorm):
    """Every option, each under several schedules."""
    dtype, hidden, sizes = KERNELS[name]
    # tf32's operands have fp16's precision.
    precision, judged = "ieee", dtype
    if dtype == "tf32":
        dtype, precision, judged = torch.float32, "tf32", torch.float16
    shim = cuda_shim.Shim(plans=sizes)
    for i, options in enumerate(OPTIONS):
        options = dict(options, nonlinearity=NONLINEARITIES[i])
        if layernorm:
            options.update(layernorm=True, affine=i % 2 == 0)
        given = drawn(hidden, dtype, **options)
        for _ in range(SCHEDULES):
            check(shim, given, judged, precision)
    assert shim.seed == 2 * len(OPTIONS) * SCHEDULES
    assert {plan.tier for plan in shim.used} == {sizes["tier"]}


@pytest.mark.parametrize(
    "dtype, operands",
    [
        (torch.bfloat16, ["bf16", "bf16"]),
        # Gradients need more than fp16's range.
        (torch.float16, ["fp16", "tf32"]),
    ],
)
def test_input_and_output_of_half_precision(dtype, operands):
    """As above with w, output and gradients of 16 bits too."""
    shim = cuda_shim.Shim()
    check(shim, drawn(20, dtype, dtype, directions=2, lengths=True), dtype)
    assert [plan.operand for plan in shim.used] == operands


def test_planned_kernels_equal_the_reference():
    """What the planner itself takes on a small device, tiers and all."""
    cluster = cuda_shim.Shim()
    check(cluster, drawn(60, torch.bfloat16, batch=9, steps=2), torch.bfloat16)
    grid = cuda_shim.Shim(cuda_shim.Limits((7, 5), 4, 5000))
    check(grid, drawn(60, batch=9, steps=2))
    assert {plan.tier for plan in cluster.used} == {"cluster"}
    assert {plan.tier for plan in grid.used} == {"grid"}
    assert any(plan.parts > 1 for plan in grid.used)


def test_nothing_to_do():
    """Every size of 0, and utterances without frames."""
    shim = cuda_shim.Shim(plans=KERNELS["cluster-fp32"][2])
    sizes = [size for size in scan_checks.EMPTY_SIZES if 0 in size[:3]]
    with cuda_shim.installed(shim):
        scan_checks.check_empty("cuda", torch.float32, sizes=sizes)
    assert shim.used == []
    for lengths in ([0, 4, 2], [0, 0, 0]):
        given = drawn(25, directions=2)
        check(shim, {**given, "lengths": torch.tensor(lengths)})


def test_an_infinity_stays_one():
    _, hidden, sizes = KERNELS["cluster-fp32"]
    with cuda_shim.installed(cuda_shim.Shim(plans=sizes)):
        scan_checks.check_infinite("cuda", hidden, torch.float32)


def test_relative_precision():
    sizes = dict(KERNELS["cluster-fp32"][2], group=2)
    with cuda_shim.installed(cuda_shim.Shim(plans=sizes)):
        for nonlinearity in NONLINEARITIES:
            scan_checks.check_activation("cuda", torch.float32, nonlinearity)
        scan_checks.check_gate("cuda", torch.float32)


@pytest.mark.parametrize("layernorm", [False, True])
def test_another_backend_reads_what_was_saved(layernorm, monkeypatch):
    """The backward's kernel can't be compiled, say."""
    _, hidden, sizes = KERNELS["cluster-fp32"]
    given = drawn(
        hidden, steps=3, directions=2, lengths=True, mask=True,
        layernorm=layernorm,
    )  # fmt: skip

    def fail(*arguments):
        raise RuntimeError("nvrtc: error: invalid value")

    monkeypatch.setattr(cuda, "scan_backward", fail)
    shim = cuda_shim.Shim(plans=sizes)
    check(shim, given, backend="auto")
    assert [plan.backward for plan in shim.used] == [False]


def test_auto_goes_on_where_a_size_does_not_fit(caplog):
    shim = cuda_shim.Shim(cuda_shim.Limits((8, 0), 1, 8192))
    given = drawn(200, steps=5)
    with pytest.raises(RuntimeError, match="H=200 fits no kernel here"):
        check(shim, given)
    for _ in range(2):
        check(shim, given, backend="auto")
    assert shim.used == []
    messages = [record.getMessage() for record in caplog.records]
    assert sum("H=200" in message for message in messages) == 1


def test_a_wait_ends():
    """A CTA that never sends: the others give up and say so."""
    for tier, sizes in (("cluster", CLUSTER), ("grid", GRID)):
        shim = cuda_shim.Shim(
            plans=dict(sizes, groups=1),
            edit=lambda text: text.replace(
                "exchange.send_stage();", "if (cta) exchange.send_stage();"
            ),
        )
        shim.spins = 500
        shim.strict = False
        given = drawn(50, batch=2)
        with cuda_shim.installed(shim), torch.no_grad():
            output = ligru_scan(**given, backend="cuda")
        assert shim.error == cuda_shim.TICKET, tier
        assert output.isnan().all(), tier


def mistakes():
    """Where the barriers are: of both tiers, and of both kernels."""
    for tier, backward in (("cluster", False), ("grid", True)):
        text = build.source(backward)
        # Words are received, and operands in parts, in the grid tier alone.
        words = text.index("receive_words(const char"), text.index("*words(u32")
        parts = text.index("if (part > 0)"), text.index("= receive(part)")
        for match in re.finditer(r"\n[ =\w]*__syncthreads\w*\(\w*\);", text):
            if tier == "cluster" and any(
                first < match.start() < last for first, last in (words, parts)
            ):
                continue
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
        shim = cuda_shim.Shim(plans=sizes, seed=2 * seed, edit=planted)
        shim.spins = 20000
        try:
            check(shim, given)
        except (AssertionError, RuntimeError):
            return True
    return False


@pytest.mark.parametrize("tier, backward, span", mistakes())
def test_a_missing_barrier_shows(tier, backward, span):
    assert fails(tier, backward, lambda text: text[: span[0]] + text[span[1] :])


@pytest.mark.parametrize("tier", ["cluster", "grid"])
def test_a_single_buffer_shows(tier):
    """LiGRU's exchange needs two buffers; SLiGRU's sums wait for readers."""
    once = {"cluster": "index * OPERAND_BYTES", "grid": "count % 2"}[tier]

    def edit(text):
        if tier == "cluster":
            text = text.replace("number % 2 * OPERAND_BYTES", "0")
        assert once in text
        return text.replace(once, "0")

    assert fails(tier, False, edit, layernorm=False)
