"""Both kernels in Triton's interpreter against the reference backend."""

import pytest
import scan_checks
import torch
from fake_graphs import FakeCuda, Kernel
from machine import Machine
from scan_cases import OPTIONS, drawn

from speechbrain_ligru_fast import backends, ligru_scan
from speechbrain_ligru_fast.backends import reference, triton
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES, ScanSpec
from speechbrain_ligru_fast.backends.triton import graphs
from speechbrain_ligru_fast.scan.operator import scan

pytestmark = pytest.mark.usefixtures("poisoned_memory")

# The launch modes; hidden units that fit a tile need no other program.
MODES = {
    "one program": (16, {}),
    "persistent": (19, {}),
    "persistent, streaming": (19, dict(resident=False)),
    "step by step": (18, dict(resident=False, persistent=False)),
}


def check(given, limit=2e-6, gradient_limit=1e-5):
    """Sums in another order, exp and sqrt of another library: roundings."""
    with Machine():
        scan_checks.check_equals("triton", given, limit, gradient_limit)


@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_every_option(number, planned):
    # Modes and nonlinearities take turns, so that each meets each option.
    for turn in (number, number + 2):
        hidden, mode = list(MODES.values())[(turn + number // 4) % 4]
        planned(**mode)
        given = drawn(
            hidden, steps=3, nonlinearity=NONLINEARITIES[turn % 4],
            **OPTIONS[number],
        )  # fmt: skip
        if "lengths" in given:
            given["lengths"] = torch.tensor([3, 0, 2])
        check(given)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_more_rows_than_a_launch_takes(mode, planned):
    """Blocks of rows, the last one partial, in two launches."""
    hidden, mode = MODES[mode]
    planned(**mode)
    check(
        drawn(
            hidden,
            batch=23,
            steps=2,
            directions=2,
            layernorm=True,
            nonlinearity="sin",
        )  # fmt: skip
    )


@pytest.mark.parametrize("hidden", [1, 3, 16, 17])
def test_few_units_and_one_step(hidden, planned):
    planned()
    check(drawn(hidden, batch=1, steps=1, layernorm=True, h0=False))


def test_wider_blocks(planned):
    planned(rows=32)
    check(drawn(24, batch=20, steps=3, directions=2, mask=True))


@pytest.mark.parametrize("layernorm", [False, True])
def test_the_chosen_plan(layernorm):
    check(drawn(20, batch=2, layernorm=layernorm, directions=2))


@pytest.mark.parametrize("operand", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layernorm", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, None])
def test_low_precision_operands(operand, layernorm, dtype, planned):
    """Autocast (float32 input) and wholly in 16 bits."""
    planned()
    given = drawn(
        21, operand, dtype or operand, directions=2, layernorm=layernorm,
        affine=layernorm, nonlinearity="tanh", mask=True,
    )  # fmt: skip
    # States and gradients are rounded once each before a product; a rounding
    # that falls the other way is a whole unit in the last place.
    eps = torch.finfo(operand).eps
    check(given, 4 * eps, 8 * eps)


@pytest.mark.parametrize("layernorm", [False, True])
def test_the_reference_reads_what_was_saved(layernorm, planned, monkeypatch):
    """And nothing is saved that nobody asks for."""
    planned()
    monkeypatch.setattr(triton, "scan_backward", reference.scan_backward)
    given = drawn(
        19, directions=2, lengths=True, mask=True, layernorm=layernorm
    )
    check(given)
    planned(persistent=False, resident=False)
    _, *saved = scan(
        given["w"], given["u"], *[None] * 5,
        "relu", 1, layernorm, 1e-5, "triton", False,
    )  # fmt: skip
    assert all(x.numel() == 0 for x in saved)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_stays_so(nonlinearity, value):
    """In its row, and as in the reference; other rows never see it."""
    given = drawn(16, steps=3)
    given["w"].data[1, 1, 2] = value
    options = (None, None, None, None, nonlinearity, 1, False, 1e-5)
    got, want = (
        scan(given["w"], given["u"], given["h0"], *options, backend, True)
        for backend in ("triton", "reference")
    )
    # The output, and the gates that are saved.
    for ours, theirs in zip(got[:2], want[:2]):
        assert torch.equal(ours.isnan(), theirs.isnan())
        assert torch.equal(ours.isinf(), theirs.isinf())


def test_an_infinity_stays_one():
    with Machine():
        scan_checks.check_infinite("triton", 21, torch.float32)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_relative_precision(nonlinearity):
    scan_checks.check_activation("triton", torch.float32, nonlinearity)


def test_relative_precision_of_the_gate():
    scan_checks.check_gate("triton", torch.float32)


def test_nothing_to_do():
    options = scan_checks.EMPTY_OPTIONS[::3]
    scan_checks.check_empty("triton", torch.float32, options=options)


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
        kernel = Kernel(getattr(triton, name), cuda)
        monkeypatch.setattr(triton, name, kernel)
    hidden, mode = MODES["step by step"]
    planned(**mode)
    for turn, lengths in enumerate(([3, 0, 2], [1, 3, 3], [0, 1, 2])):
        given = drawn(hidden, steps=3, directions=2, layernorm=layernorm)
        given["w"].data = given["w"].data.roll(turn, 1)
        given["lengths"] = torch.tensor(lengths)
        check(given)
    assert cuda.log.count("capture") == 2
