"""numba-cuda's kernels in Numba's simulator against the reference.

A Python thread stands for every GPU thread, hence the small sizes. The tests
need NUMBA_ENABLE_CUDASIM=1: ../test_gpu.py starts them.
"""

import itertools

import pytest
import scan_cases
import scan_checks
import torch
import twins

from speechbrain_ligru_fast.backends import numba, reference
from speechbrain_ligru_fast.backends.numba import gpu
from speechbrain_ligru_fast.backends.rows import previous_hidden
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES, ScanSpec

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def scan(
    batch=2, steps=3, hidden=3, dtype=torch.float64, h0=True, mask=False,
    lengths=None, affine=False, operand=None, **options,
):  # fmt: skip
    """(spec, arguments of scan_forward) with random values."""
    spec = ScanSpec(**options)
    rows = batch * spec.directions

    def real(*shape, seed):
        return twins.data(shape, dtype, seed).detach()

    return spec, dict(
        w=real(batch, steps, 2 * hidden, seed=1),
        u=real(2 * hidden, hidden, seed=2).to(operand or dtype),
        h0=real(rows, hidden, seed=3) if h0 else None,
        mask=(real(rows, hidden, seed=4) > 0).to(dtype) if mask else None,
        lengths=None if lengths is None else torch.tensor(lengths),
        ln_weight=real(2 * hidden, seed=5) if affine else None,
        ln_bias=real(2 * hidden, seed=6) if affine else None,
    )


def check(spec, given, limit):
    lengths = given["lengths"]
    want = reference.scan_forward(spec, **given, save=True)
    # As an operator gets them in training.
    training = {
        name: x.clone().requires_grad_()
        if x is not None and x.is_floating_point()
        else x
        for name, x in given.items()
    }
    got = gpu.scan_forward(spec, **training, save=True)
    grad = twins.data(want[0].shape, want[0].dtype, 9).detach()
    previous = previous_hidden(want[0], given["h0"], spec.directions, lengths)
    for i in range(1, 4):
        if lengths is not None and want[i].numel():
            there = torch.arange(want[i].shape[2]) < lengths[:, None]
            assert twins.error(got[i][:, there], want[i][:, there]) <= limit
        else:
            assert twins.error(got[i], want[i]) <= limit if want[i].numel() \
                else got[i].numel() == 0  # fmt: skip
    assert got[0].dtype == want[0].dtype
    assert twins.error(got[0], want[0]) <= limit
    saved = (
        spec, grad, previous, *want[1:], given["u"], given["mask"], lengths,
        given["ln_weight"],
    )  # fmt: skip
    wanted = reference.scan_backward(*saved)
    for a, b in zip(gpu.scan_backward(*saved), wanted):
        assert twins.error(a, b) <= limit


OPTIONS = [
    dict(recurrent, directions=directions, **given)
    for directions, recurrent, given in itertools.product(
        (1, 2),
        scan_cases.RECURRENT,
        ({"h0": False}, {"lengths": [2, 0], "mask": True}),
    )
]


@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_equals_the_reference(number):
    # Nonlinearities take turns: each meets LayerNorm, masks and lengths.
    turn = number + number // 4
    spec, given = scan(nonlinearity=NONLINEARITIES[turn % 4], **OPTIONS[number])
    check(spec, given, 1e-12)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 2, 7), (4, 2, 5)])
def test_odd_sizes(shape):
    """One thread for everything; more work than the block has threads."""
    spec, given = scan(*shape, directions=2, layernorm=True)
    check(spec, given, 1e-12)


def test_float32():
    spec, given = scan(dtype=torch.float32, layernorm=True, nonlinearity="sin")
    check(spec, given, 2e-6)


def test_weights_of_16_bits():
    spec, given = scan(dtype=torch.float32, operand=torch.bfloat16)
    check(spec, given, 4 * torch.finfo(torch.bfloat16).eps)


def test_nothing_to_do(monkeypatch):
    monkeypatch.setattr(numba, "_module", lambda tensor: gpu)
    scan_checks.check_empty("numba", options=scan_checks.EMPTY_OPTIONS[::3])


def test_an_infinity_stays_one(monkeypatch):
    monkeypatch.setattr(numba, "_module", lambda tensor: gpu)
    scan_checks.check_infinite("numba", 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_relative_precision(dtype, monkeypatch):
    monkeypatch.setattr(numba, "_module", lambda tensor: gpu)
    for nonlinearity in NONLINEARITIES:
        scan_checks.check_activation("numba", dtype, nonlinearity)
    scan_checks.check_gate("numba", dtype)


def test_what_is_not_asked_for_is_not_saved():
    spec, given = scan(layernorm=True)
    output, *saved = gpu.scan_forward(spec, **given, save=False)
    assert all(x.numel() == 0 for x in saved)
    want = reference.scan_forward(spec, **given, save=False)[0]
    assert twins.error(output, want) <= 1e-12
