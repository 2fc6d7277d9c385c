"""numba-cuda's kernels in Numba's simulator against the reference.

A Python thread stands for every GPU thread, hence the small sizes. The tests
need NUMBA_ENABLE_CUDASIM=1: ../test_gpu.py starts them.
"""

import pytest
import scan_checks
import torch
from scan_cases import OPTIONS, arguments

from speechbrain_ligru_fast.backends import numba, reference
from speechbrain_ligru_fast.backends.numba import gpu
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES
from speechbrain_ligru_fast.scan.operator import scan

pytestmark = pytest.mark.usefixtures("poisoned_memory")


@pytest.fixture(autouse=True)
def simulated(monkeypatch):
    """The kernels of a GPU run on tensors of a CPU."""
    monkeypatch.setattr(numba, "_module", lambda tensor: gpu)


def drawn(batch=2, steps=3, hidden=3, **options):
    """Arguments of a scan; of two utterances one may have no frames."""
    given = arguments(batch, steps, hidden, **options)
    if "lengths" in given:
        given["lengths"] = torch.tensor([2, 0])
    return given


@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_equals_the_reference(number):
    # Nonlinearities take turns: each meets LayerNorm, masks and lengths.
    nonlinearity = NONLINEARITIES[number % 4]
    given = drawn(nonlinearity=nonlinearity, **OPTIONS[number])
    scan_checks.check_equals("numba", given, 1e-12)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 2, 7), (4, 2, 5)])
def test_odd_sizes(shape):
    """One thread for everything; more work than the block has threads."""
    given = drawn(*shape, directions=2, layernorm=True)
    scan_checks.check_equals("numba", given, 1e-12)


@pytest.mark.parametrize("operand", [torch.float32, torch.bfloat16])
def test_float32_and_weights_of_16_bits(operand):
    given = drawn(dtype=torch.float32, layernorm=True, nonlinearity="sin")
    given["u"] = given["u"].detach().to(operand).requires_grad_()
    limit = 2e-6 if operand == torch.float32 else 4 * torch.finfo(operand).eps
    scan_checks.check_equals("numba", given, limit)


def test_nothing_to_do():
    scan_checks.check_empty("numba", options=scan_checks.EMPTY_OPTIONS[::3])


def test_an_infinity_stays_one():
    scan_checks.check_infinite("numba", 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_relative_precision(dtype):
    for nonlinearity in NONLINEARITIES:
        scan_checks.check_activation("numba", dtype, nonlinearity)
    scan_checks.check_gate("numba", dtype)


@pytest.mark.parametrize("layernorm", [False, True])
def test_the_reference_reads_what_was_saved(layernorm, monkeypatch):
    """And nothing is saved that nobody asks for."""
    given = drawn(directions=2, lengths=True, mask=True, layernorm=layernorm)
    monkeypatch.setattr(numba, "scan_backward", reference.scan_backward)
    scan_checks.check_equals("numba", given, 1e-12)
    _, *saved = scan(
        given["w"], given["u"], *[None] * 5,
        "relu", 1, layernorm, 1e-5, "numba", False,
    )  # fmt: skip
    assert all(x.numel() == 0 for x in saved)
