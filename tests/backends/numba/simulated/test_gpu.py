"""numba-cuda's kernels in Numba's simulator against the reference.

A Python thread stands for every GPU thread, hence the small sizes. The tests
need NUMBA_ENABLE_CUDASIM=1: ../test_gpu.py starts them.
"""

import conformance
import pytest
import torch
from scan_cases import OPTIONS, arguments

from speechbrain_ligru_fast.backends import numba
from speechbrain_ligru_fast.backends.numba import gpu
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES

pytestmark = pytest.mark.usefixtures("poisoned_memory")


@pytest.fixture(autouse=True)
def simulated(monkeypatch):
    """The kernels of a GPU run on tensors of a CPU."""
    monkeypatch.setattr(numba, "_module", lambda tensor: gpu)


class TestConformance(conformance.Conformance):
    BACKENDS = ["numba"]
    TYPES = [(torch.float64,), (torch.float32,)]
    HIDDEN = [3]
    # Python's own sine, which is called here, takes no infinity.
    SPECIAL = [torch.nan]
    LIMITS = 1e-12, 1e-12


def check(batch=2, steps=3, hidden=3, operand=None, limit=1e-12, **options):
    """Equals the reference; of two utterances one may have no frames."""
    given = arguments(batch, steps, hidden, **options)
    if "lengths" in given:
        given["lengths"] = torch.tensor([2, 0])
    if operand:
        given["u"] = given["u"].detach().to(operand).requires_grad_()
    conformance.check_equals("numba", given, limit, limit)


@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_equals_the_reference(number):
    # Nonlinearities take turns: each meets LayerNorm, masks and lengths.
    check(nonlinearity=NONLINEARITIES[number % 4], **OPTIONS[number])


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 2, 7), (4, 2, 5)])
def test_odd_sizes(shape):
    """One thread for everything; more work than the block has threads."""
    check(*shape, directions=2, layernorm=True)


@pytest.mark.parametrize(
    "operand, limit", [(torch.float32, 2e-6), (torch.bfloat16, 2**-5)]
)
def test_float32_and_weights_of_16_bits(operand, limit):
    check(
        operand=operand, limit=limit, dtype=torch.float32, layernorm=True,
        nonlinearity="sin",
    )  # fmt: skip
