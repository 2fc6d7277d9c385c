"""Both kernels in Triton's interpreter against the reference backend."""

import itertools

import pytest
import scan_checks
import scans
import torch
import twins
from fake_graphs import FakeCuda, Kernel
from machine import Machine

from speechbrain_ligru_fast import backends, ligru_scan
from speechbrain_ligru_fast.backends import triton
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES, ScanSpec
from speechbrain_ligru_fast.backends.triton import graphs

pytestmark = pytest.mark.usefixtures("poisoned_memory")

# Sums in another order, exp and sqrt of another library: a few roundings,
# which the backward collects over the steps.
FLOAT32 = 2e-6

# The launch modes; hidden units that fit a tile need no other program.
MODES = {
    "one program": dict(hidden=16),
    "persistent": dict(hidden=19),
    "persistent, streaming": dict(hidden=19, resident=False),
    "step by step": dict(hidden=18, resident=False, persistent=False),
}
OPTIONS = [
    dict(directions=directions, **recurrent, **given)
    for directions, recurrent, given in itertools.product(
        (1, 2),
        ({}, {"layernorm": True}, {"layernorm": True, "affine": True}),
        ({"h0": False}, {"mask": True}, {"lengths": [3, 0, 2], "mask": True}),
    )
]


def check(spec, given, mode, limit=FLOAT32, rows=16):
    """Forward and backward in a launch mode; NaN in an error fails."""
    mode = {k: v for k, v in mode.items() if k != "hidden"}
    hidden = given["u"].shape[1]
    with Machine():
        plan = scans.how(hidden, rows=rows, **mode)
        got, want = scans.forward(spec, given, plan)
        for name, error in scans.errors(got, want, given["lengths"]).items():
            assert error <= limit, name
        plan = scans.how(hidden, backward=True, rows=rows, **mode)
        got, want = scans.backward(spec, given, want, plan)
        for name, error in scans.errors(got, want, given["lengths"]).items():
            assert error <= limit, name


@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_every_option(number):
    # Modes and nonlinearities take turns, so that each meets each option.
    for turn in (number, number + 2):
        mode = MODES[list(MODES)[(turn + number // 4) % len(MODES)]]
        spec, given = scans.scan(
            hidden=mode["hidden"],
            nonlinearity=NONLINEARITIES[turn % len(NONLINEARITIES)],
            **OPTIONS[number],
        )
        check(spec, given, mode)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_more_rows_than_a_launch_takes(mode):
    """Blocks of rows, the last one partial, in two launches."""
    spec, given = scans.scan(
        batch=23, steps=2, hidden=MODES[mode]["hidden"], directions=2,
        layernorm=True, nonlinearity="sin",
    )  # fmt: skip
    check(spec, given, MODES[mode])


@pytest.mark.parametrize("hidden", [1, 3, 16, 17])
def test_few_units_and_one_step(hidden):
    spec, given = scans.scan(1, 1, hidden, layernorm=True, h0=False)
    check(spec, given, {})


def test_wider_blocks():
    spec, given = scans.scan(20, 3, 24, directions=2, mask=True)
    check(spec, given, MODES["persistent"], rows=32)


@pytest.mark.parametrize("operand", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layernorm", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, None])
def test_low_precision_operands(operand, layernorm, dtype):
    """Autocast (float32 input) and wholly in 16 bits."""
    dtype = dtype or operand
    spec, given = scans.scan(
        steps=4, hidden=21, dtype=dtype, operand=operand, directions=2,
        layernorm=layernorm, affine=layernorm, nonlinearity="tanh", mask=True,
    )  # fmt: skip
    # States and gradients are rounded once each before a product; a rounding
    # that falls the other way is a whole unit in the last place.
    check(spec, given, MODES["persistent"], limit=4 * torch.finfo(operand).eps)


def test_what_is_not_asked_for_is_not_saved():
    spec, given = scans.scan(layernorm=True)
    got, want = scans.forward(spec, given, save=False)
    assert all(got[name].numel() == 0 for name in scans.FORWARD[1:])
    assert twins.error(got["output"], want["output"]) <= FLOAT32


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_stays_so(nonlinearity, value):
    """In its row, and as in the reference; other rows never see it."""
    spec, given = scans.scan(nonlinearity=nonlinearity)
    given["w"][1, 1, 2] = value
    got, want = scans.forward(spec, given)
    for name in ("output", "gates"):
        assert torch.equal(got[name].isnan(), want[name].isnan())
        assert torch.equal(got[name].isinf(), want[name].isinf())


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


@pytest.mark.parametrize("layernorm", [False, True])
def test_the_operator(layernorm):
    """Through the custom operator and autograd, with the chosen plan."""

    def run(backend):
        _, given = scans.scan(
            2, 3, 20, layernorm=layernorm, affine=layernorm, directions=2
        )
        leaves = [v.requires_grad_() for v in given.values() if v is not None]
        with Machine():
            output = ligru_scan(
                **given, layernorm=layernorm, directions=2, backend=backend
            )
            weight = twins.data(output.shape, torch.float32, 9).detach()
            grads = torch.autograd.grad(output, leaves, weight)
        return [output.detach(), *grads]

    for got, want in zip(run("triton"), run("reference")):
        assert twins.error(got, want) <= FLOAT32


def test_who_can_run():
    assert triton.unavailable("cpu", torch.float32, ScanSpec()) is None
    assert "float64" in triton.unavailable("cpu", torch.float64, ScanSpec())
    # A float64 state, whatever U's precision.
    w, u = twins.data((2, 3, 8)).detach(), torch.randn(8, 4)
    with pytest.raises(RuntimeError, match="'triton' can't .*float64.*'auto'"):
        ligru_scan(w, u, backend="triton")
    assert ligru_scan(w, u).dtype == torch.float64
    # An interpreter is not what auto means by the fastest.
    chosen = backends.choose("auto", "cpu", torch.float32, ScanSpec(), 100)
    assert not chosen.__name__.endswith("triton")


@pytest.mark.parametrize("layernorm", [False, True])
def test_step_by_step_in_a_graph(layernorm, monkeypatch):
    """Other data and other lengths each time, and no stale results."""
    cuda = FakeCuda()
    monkeypatch.setattr(triton, "replays", graphs.Replays(cuda, "cpu"))
    monkeypatch.setattr(graphs, "FEWEST_LAUNCHES", 3)
    for name in ("forward_kernel", "backward_kernel"):
        kernel = Kernel(getattr(triton, name), cuda)
        monkeypatch.setattr(triton, name, kernel)
    for turn, lengths in enumerate(([3, 0, 2], [1, 3, 3], [0, 1, 2])):
        spec, given = scans.scan(
            3, 3, 18, directions=2, layernorm=layernorm, lengths=lengths
        )
        given["w"] = given["w"].roll(turn, 1)
        check(spec, given, MODES["step by step"])
    assert cuda.log.count("capture") == 2
