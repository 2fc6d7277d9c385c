"""Scans of nothing, of what is not finite, and every digit of the rest."""

import pytest
import scan_checks
import torch
from scan_cases import run

from speechbrain_ligru_fast import ligru_scan
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES

pytestmark = pytest.mark.usefixtures("poisoned_memory")

DTYPES = [torch.float64, torch.float32]
MIXED = (torch.float32, torch.bfloat16)


# The types turn by turn: each meets every size.
@pytest.mark.parametrize(
    "types, first",
    [(DTYPES[:1], 0), (DTYPES[1:], 1), (MIXED, 2), ((torch.float16,), 0)],
    ids=str,
)
def test_nothing(backend, types, first):
    options = scan_checks.EMPTY_OPTIONS[first::3]
    scan_checks.check_empty(backend, *types, options=options)


@pytest.mark.parametrize("recompute", [False, True])
def test_nothing_by_auto(recompute):
    options = scan_checks.EMPTY_OPTIONS[::3]
    scan_checks.check_empty(
        "auto", torch.float32, options=options, recompute=recompute
    )


@pytest.mark.parametrize("hidden", [5, 24, 33, 70])
@pytest.mark.parametrize("types", [DTYPES[:1], DTYPES[1:], MIXED], ids=str)
def test_an_infinity_stays_one(backend, hidden, types):
    """No padding of a tile makes it NaN."""
    scan_checks.check_infinite(backend, hidden, *types)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_with_layernorm_a_row_is_lost_and_no_other(backend, dtype):
    given = scan_checks.infinite_state(21, dtype, layernorm=True, affine=True)
    got = run(ligru_scan, given, backend=backend)
    want = run(ligru_scan, given, backend="reference")
    assert want["output"][1].isnan().any()
    assert want["output"][2:].isfinite().all()
    limit = 100 * torch.finfo(dtype).eps
    for name in ("output", "grad w", "grad h0"):
        scan_checks.assert_same_places(got[name], want[name], limit)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_digit_of_activations_and_gates(backend, dtype):
    for nonlinearity in NONLINEARITIES:
        scan_checks.check_activation(backend, dtype, nonlinearity)
    scan_checks.check_gate(backend, dtype)
    # A decoder's single step.
    scan_checks.check_activation("auto", dtype, "tanh", slopes=False)
