"""Scans in which a size is 0, or every length is: nothing to compute."""

import itertools

import pytest
import torch
from test_scan import arguments, run

from speechbrain_ligru_fast import ligru_scan

pytestmark = pytest.mark.usefixtures("poisoned_memory")

SIZES = [
    (batch, steps, hidden, frames)
    for batch, steps, hidden, frames in itertools.product(
        (0, 3), (0, 1, 4), (0, 5), (None, 0)
    )
    if 0 in (batch, steps, hidden, frames)
]
OPTIONS = [
    dict(recurrent, directions=directions, h0=given, mask=given)
    for directions, recurrent, given in itertools.product(
        (1, 2),
        ({}, {"layernorm": True}, {"layernorm": True, "affine": True}),
        (False, True),
    )
]


def check(
    backend,
    dtype=torch.float64,
    operand=None,
    options=OPTIONS,
    sizes=SIZES,
    **more,
):
    """Results and gradients of a backend are the reference's.

    Arguments
    ---------
    backend : str
        Its name.
    dtype : torch.dtype
        Of all tensors but u.
    operand : torch.dtype | None
        Of u.
    options : list
        For each of the sizes.
    sizes : list
        (batch, steps, hidden, frames of every utterance or None).
    **more
        For ``ligru_scan``.
    """
    for (batch, steps, hidden, frames), chosen in itertools.product(
        sizes, options
    ):
        given = arguments(batch, steps, hidden, dtype, **chosen)
        given["u"] = given["u"].detach().to(operand or dtype).requires_grad_()
        if frames is not None:
            given["lengths"] = torch.full((batch,), frames)
        case = f"{batch} {steps} {hidden} {frames} {chosen}"
        want = run(ligru_scan, given, backend="reference")
        got = run(ligru_scan, given, backend=backend, **more)
        for name, value in want.items():
            assert got[name].shape == value.shape, f"{name}: {case}"
            assert got[name].dtype == value.dtype, f"{name}: {case}"
            # There is no arithmetic to differ in: zeros, or what passes by.
            assert torch.equal(got[name], value), f"{name}: {case}"
        with torch.no_grad():
            output = ligru_scan(**given, backend=backend)
        assert torch.equal(output, want["output"]), case


# The types turn by turn: each meets every size.
@pytest.mark.parametrize(
    "dtype, operand, first",
    [
        (torch.float64, None, 0),
        (torch.float32, None, 1),
        (torch.float32, torch.bfloat16, 2),
        (torch.float16, None, 0),
    ],
    ids=str,
)
def test_equals_the_reference(backend, dtype, operand, first):
    check(backend, dtype, operand, OPTIONS[first::3])


@pytest.mark.parametrize("recompute", [False, True])
def test_auto(recompute):
    check("auto", torch.float32, options=OPTIONS[::3], recompute=recompute)
