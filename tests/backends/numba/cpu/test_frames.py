"""Rows that have ended are left out, whatever the order of the batch."""

import pytest
import torch

from speechbrain_ligru_fast import ligru_scan
from speechbrain_ligru_fast.backends.rows import previous_hidden
from speechbrain_ligru_fast.backends.spec import ScanSpec

cpu = pytest.importorskip("speechbrain_ligru_fast.backends.numba.cpu")


@pytest.mark.parametrize("layernorm", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_utterance_is_computed_as_if_it_were_alone(layernorm, dtype):
    """Also one that shares a tile with others that have ended before it."""
    lengths = torch.tensor([5, 40, 0, 17, 40, 1, 39, 3, 17])
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(9, 40, 48, generator=generator)
    u = (torch.randn(48, 24, generator=generator) / 5).to(dtype)
    # What is beyond an end is read by nobody.
    w[torch.arange(40) >= lengths[:, None]] = float("nan")
    mask = torch.rand(18, 24, generator=generator)
    h0 = torch.randn(18, 24, generator=generator)
    options = {"directions": 2, "layernorm": layernorm, "backend": "numba"}

    def run(rows):
        """Outputs and gradients of some utterances."""
        both = [*rows, *(r + 9 for r in rows)]
        given = w[rows].clone().requires_grad_(), u, h0[both].requires_grad_()
        output = ligru_scan(*given, mask[both], lengths[rows], **options)
        grads = torch.autograd.grad(output.square().sum(), [given[0], given[2]])
        halves = grads[1].unflatten(0, (2, -1))
        return output.detach(), grads[0], halves[0], halves[1]

    together = run(range(9))
    for r in range(9):
        for many, one in zip(together, run([r])):
            torch.testing.assert_close(many[r], one[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("lengths", [None, [7, 4, 1, 0, 6]])
def test_two_directions_are_joined_as_they_come(lengths):
    """Each frame's gradient is stored by one row and added to by the other."""
    generator = torch.Generator().manual_seed(2)
    spec, steps = ScanSpec("relu", 2, True), 7
    if lengths is not None:
        lengths = torch.tensor(lengths)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    w, u = normal(5, steps, 20), normal(20, 10)
    output, *saved = cpu.scan_forward(
        spec, w, u, None, None, lengths, None, None, True
    )
    previous = previous_hidden(output, None, 2, lengths)
    given = normal(*output.shape), previous, *saved, u, None, lengths, None
    apart, products, _ = cpu.scan_backward(spec, *given)
    joined, same, _ = cpu.scan_backward(spec, *given, True, False)
    assert joined.shape == (1, 5, steps, 20)
    assert torch.equal(joined[0], apart[0] + apart[1])
    assert torch.equal(same, products)
