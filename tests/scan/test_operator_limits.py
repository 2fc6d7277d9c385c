"""Scans of nothing, of what is not finite, and every digit of the rest."""

import conformance
import pytest
import torch
from scan_cases import run

from speechbrain_ligru_fast import ligru_scan

pytestmark = pytest.mark.usefixtures("poisoned_memory")

DTYPES = [torch.float64, torch.float32]


class TestConformance(conformance.Conformance):
    TYPES = [(DTYPES[0],), (DTYPES[1],), (torch.float32, torch.bfloat16)]
    HIDDEN = [5, 24, 33, 70]
    LIMITS = 1e-10, 1e-8


@pytest.mark.parametrize("recompute", [False, True])
def test_nothing_by_auto(recompute):
    options = conformance.EMPTY_OPTIONS[::3]
    conformance.check_empty(
        "auto", torch.float32, options=options, recompute=recompute
    )


def test_nothing_in_half_precision(backend):
    options = conformance.EMPTY_OPTIONS[::3]
    conformance.check_empty(backend, torch.float16, options=options)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_with_layernorm_a_row_is_lost_and_no_other(backend, dtype):
    given = conformance.positive(21, dtype, layernorm=True, affine=True)
    given["h0"].data[1, 10] = torch.inf
    got = run(ligru_scan, given, backend=backend)
    want = run(ligru_scan, given, backend="reference")
    assert want["output"][1].isnan().any()
    assert want["output"][2:].isfinite().all()
    limit = 100 * torch.finfo(dtype).eps
    for name in ("output", "grad w", "grad h0"):
        conformance.assert_same_places(got[name], want[name], limit)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_digit_of_a_decoders_step(dtype):
    conformance.check_activation("auto", dtype, "tanh", slopes=False)
