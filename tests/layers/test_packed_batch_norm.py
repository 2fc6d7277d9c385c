"""Batch norm of the valid frames side by side: the formula's results."""

import pytest
import torch
import twins

from speechbrain_ligru_fast.layers import packed_batch_norm
from speechbrain_ligru_fast.layers.batch_norm import masked_batch_norm
from speechbrain_ligru_fast.scan.lengths import valid_frames

FRAMES = {"padded": [4, 1, 2], "whole": [4, 4, 4], "one": [1, 0, 0]}


def results(frames, dtype, affine):
    """Output, gradients and statistics, by name; the padding is NaN."""
    valid = valid_frames(torch.tensor(frames), 4)
    data = twins.data((3, 4, 2)).detach()
    x = data.masked_fill(~valid.unsqueeze(2), float("nan")).to(dtype)
    x.requires_grad_()
    real = packed_batch_norm._dtype(x)
    leaves = {"x": x}
    if affine:
        leaves |= {n: twins.data((2,), real, i) for i, n in enumerate("wb")}
    mean, var = torch.zeros(2).to(real), torch.ones(2).to(real)
    out = masked_batch_norm(
        x, valid, mean, var, leaves.get("w"), leaves.get("b"), 0.1, 1e-5, 2
    )
    assert out.dtype == dtype and out.isfinite().all()
    weight = twins.data(out.shape, dtype, 7).detach() * valid.unsqueeze(2)
    found = torch.autograd.grad(out, leaves.values(), weight)
    return {
        "out": out[valid], "mean": mean, "var": var, **dict(zip(leaves, found))
    }  # fmt: skip


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("frames", FRAMES)
def test_equals_the_formula(frames, dtype, affine, monkeypatch):
    got = results(FRAMES[frames], dtype, affine)
    monkeypatch.setattr(packed_batch_norm, "repays", lambda *_: False)
    want = results(FRAMES[frames], dtype, affine)
    limit = 1e-10 if dtype == torch.float64 else 0.01
    for name in want:
        error = (got[name] - want[name]).abs().max()
        assert error <= limit * want[name].abs().max().clamp(min=1), name


def test_what_follows_data_does_not_pack():
    """Fake tensors have no values; transforms and compilers see formulas."""
    seen = []

    def call(x):
        seen.append(packed_batch_norm.repays(x, None, None))
        return x

    x = torch.ones(1, 2, 3)
    torch.func.vmap(call)(x)
    torch.jit.trace(call, x, check_trace=False)
    call(x.to("meta"))
    with torch.device("cpu"):
        call(x)
    torch.compile(call, backend="eager", fullgraph=True)(x)
    assert seen == [False, False, False, True, False]
