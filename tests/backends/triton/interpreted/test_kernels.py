"""Both kernels in Triton's interpreter against the reference backend."""

import conformance
import pytest
import torch
import triton as triton_language
import triton.language as tl
from fake_graphs import FakeCuda
from machine import Machine
from scan_cases import OPTIONS, drawn

from speechbrain_ligru_fast import backends, ligru_scan
from speechbrain_ligru_fast.backends import triton
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES, ScanSpec
from speechbrain_ligru_fast.backends.triton import device, graphs

pytestmark = pytest.mark.usefixtures("poisoned_memory")

# The launch modes; hidden units that fit a tile need no other program.
MODES = {
    "one program": (16, {}),
    "persistent": (19, {}),
    "persistent, streaming": (19, dict(resident=False)),
    "step by step": (18, dict(resident=False, persistent=False)),
}


class TestConformance(conformance.Conformance):
    BACKENDS = ["triton"]

    @pytest.fixture(autouse=True)
    def machine(self, planned):
        planned()
        with Machine():
            yield


def check(*limits, lengths=None, turn=0, **options):
    """Sums in another order, exp and sqrt of another library: roundings."""
    given = drawn(lengths=lengths is not None, **options)
    given["w"].data = given["w"].data.roll(turn, 1)
    if lengths is not None:
        given["lengths"] = torch.tensor(lengths)
    with Machine():
        conformance.check_equals("triton", given, *limits or (2e-6, 1e-5))


@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_every_option(number, planned):
    options = dict(OPTIONS[number])
    lengths = [3, 0, 2] if options.pop("lengths", False) else None
    # Modes and nonlinearities take turns, so that each meets each option.
    for turn in (number, number + 2):
        hidden, mode = list(MODES.values())[(turn + number // 4) % 4]
        planned(**mode)
        check(
            hidden=hidden, steps=3, nonlinearity=NONLINEARITIES[turn % 4],
            lengths=lengths, **options,
        )  # fmt: skip


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_more_rows_than_a_launch_takes(mode, planned):
    """Blocks of rows, the last one partial, in two launches."""
    hidden, mode = MODES[mode]
    planned(**mode)
    check(
        hidden=hidden, batch=23, steps=2, directions=2, layernorm=True,
        nonlinearity="sin",
    )  # fmt: skip


@pytest.mark.parametrize("hidden", [1, 3, 16, 17])
def test_few_units_and_one_step(hidden, planned):
    planned()
    check(hidden=hidden, batch=1, steps=1, layernorm=True, h0=False)


def test_wider_blocks(planned):
    planned(rows=32)
    check(hidden=24, batch=20, steps=3, directions=2, mask=True)


@pytest.mark.parametrize("layernorm", [False, True])
def test_the_chosen_plan(layernorm):
    check(hidden=20, batch=2, layernorm=layernorm, directions=2)


@pytest.mark.parametrize("operand", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layernorm", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, None])
def test_low_precision_operands(operand, layernorm, dtype, planned):
    """Autocast (float32 input) and wholly in 16 bits."""
    planned()
    # States and gradients are rounded once each before a product; a rounding
    # that falls the other way is a whole unit in the last place.
    eps = torch.finfo(operand).eps
    check(
        4 * eps, 8 * eps, hidden=21, operand=operand, dtype=dtype or operand,
        directions=2, layernorm=layernorm, affine=layernorm,
        nonlinearity="tanh", mask=True,
    )  # fmt: skip


def test_who_can_run():
    assert triton.unavailable("cpu", torch.float32, ScanSpec()) is None
    assert "float64" in triton.unavailable("cpu", torch.float64, ScanSpec())
    # A float64 state, whatever U's precision.
    given = drawn(4, dtype=torch.float64, steps=3)
    with pytest.raises(RuntimeError, match="'triton' can't .*float64.*'auto'"):
        ligru_scan(**given, backend="triton")
    assert ligru_scan(**given).dtype == torch.float64
    # An interpreter is not what auto means by the fastest.
    chosen = backends.choose("auto", "cpu", torch.float32, ScanSpec(), 100)
    assert not chosen.__name__.endswith("triton")


@pytest.mark.parametrize("layernorm", [False, True])
def test_step_by_step_in_a_graph(layernorm, planned, monkeypatch):
    """Other data and other lengths each time, and no stale results."""
    cuda = FakeCuda()
    monkeypatch.setattr(triton, "replays", graphs.Replays(cuda, "cpu"))
    monkeypatch.setattr(graphs, "FEWEST_LAUNCHES", 3)
    for name in ("forward_kernel", "backward_kernel"):
        kernel = cuda.kernel(getattr(triton, name))
        monkeypatch.setattr(triton, name, kernel)
    hidden, mode = MODES["step by step"]
    planned(**mode)
    for turn, lengths in enumerate(([3, 0, 2], [1, 3, 3], [0, 1, 2])):
        check(
            hidden=hidden, steps=3, directions=2, layernorm=layernorm,
            lengths=lengths, turn=turn,
        )  # fmt: skip
    assert cuda.log.count("capture") == 2


@triton_language.jit
def _round(values, found, SIZE: tl.constexpr):
    at = tl.arange(0, SIZE)
    tl.store(found + at, device.rounded(tl.load(values + at), "tf32"))


def test_tf32_is_rounded_to_nearest():
    """Ten bits after the first, up from the middle; infinity and NaN stay."""
    unit = 2.0**-10
    given = [1 + unit / 2, 1 + unit * 0.499, -1 - unit * 0.501, 3e38]
    given += [0.0, 2 - 2**-23, float("inf"), float("nan")]
    values = torch.tensor(given)
    # All ones: adding to these bits would make a number of them.
    values[-1] = torch.tensor(0x7FFFFFFF, dtype=torch.int32).view(torch.float32)
    found = torch.empty_like(values)
    _round[(1,)](values, found, len(given))
    assert found[:3].tolist() == [1 + unit, 1.0, -1 - unit]
    assert found[3].item() == pytest.approx(3e38, rel=unit / 2)
    assert found[4:7].tolist() == [0.0, 2.0, float("inf")]
    assert found[7].isnan()
