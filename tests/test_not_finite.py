"""What is infinite spreads as in the reference: no padding makes it NaN."""

import pytest
import torch
import twins
from test_scan import arguments, run

from speechbrain_ligru_fast import ligru_scan

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def positive(hidden, dtype, operand, **options):
    """A scan whose weights only add: no infinity minus infinity."""
    given = arguments(
        5, 6, hidden, dtype, nonlinearity="tanh", directions=2, **options
    )
    u = given["u"].detach().abs() + 0.1
    given["u"] = u.to(operand or dtype).requires_grad_()
    given["h0"] = torch.ones_like(given["h0"]).requires_grad_()
    return given


def infinite_state(hidden, dtype, operand=None, **options):
    """Row 1's gates stay open, and its infinity where it is, for ever."""
    given = positive(hidden, dtype, operand, **options)
    given["h0"].data[1, hidden // 2] = torch.inf
    return given


def infinite_gradient(hidden, dtype, operand=None, **options):
    """States above every candidate: a gradient's infinity keeps its sign."""
    given = positive(hidden, dtype, operand, **options)
    given["w"].data[..., :hidden] = -3
    given["u"].data *= 0.01
    return given


def equal(got, want, limit):
    """NaN, infinities and numbers are in the same places."""
    assert torch.equal(got.isnan(), want.isnan())
    assert torch.equal(got.isposinf(), want.isposinf())
    assert torch.equal(got.isneginf(), want.isneginf())
    there = want.isfinite()
    assert twins.error(got[there], want[there]) <= limit


def check(backend, hidden, dtype=torch.float64, operand=None):
    """A state, and a gradient of the output, that is infinite."""
    limit = 100 * torch.finfo(operand or dtype).eps
    for options in ({}, {"lengths": True, "mask": True}):
        given = infinite_state(hidden, dtype, operand, **options)
        with torch.no_grad():
            want = ligru_scan(**given, backend="reference")
            got = ligru_scan(**given, backend=backend)
        assert want[1].isinf().any() and not want.isnan().any()
        equal(got, want, limit)
        options.pop("mask", None)
        given = infinite_gradient(hidden, dtype, operand, **options)
        found = {}
        for name in ("reference", backend):
            output = ligru_scan(**given, backend=name)
            grad = torch.ones_like(output)
            grad[1, given.get("lengths", [6] * 5)[1] - 1, 0] = torch.inf
            leaves = given["w"], given["h0"]
            found[name] = torch.autograd.grad(output, leaves, grad)
        for got, want in zip(found[backend], found["reference"]):
            assert want[1].isinf().any() and not want.isnan().any()
            equal(got, want, limit)


@pytest.mark.parametrize("hidden", [5, 24, 33, 70])
@pytest.mark.parametrize(
    "dtype, operand",
    [
        (torch.float64, None),
        (torch.float32, None),
        (torch.float32, torch.bfloat16),
    ],
    ids=str,
)
def test_an_infinity_stays_one(backend, hidden, dtype, operand):
    check(backend, hidden, dtype, operand)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_with_layernorm_a_row_is_lost_and_no_other(backend, dtype):
    given = infinite_state(21, dtype, layernorm=True, affine=True)
    got = run(ligru_scan, given, backend=backend)
    want = run(ligru_scan, given, backend="reference")
    assert want["output"][1].isnan().any()
    assert want["output"][2:].isfinite().all()
    for name in ("output", "grad w", "grad h0"):
        equal(got[name], want[name], 100 * torch.finfo(dtype).eps)
