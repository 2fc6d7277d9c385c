"""Autocast on a CPU: low precision operands, float32 state and output."""

import pytest
import torch
import twins

from speechbrain_ligru_fast import ligru_scan

SHAPE = (3, 9, 6)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_layer(backend, model, dtype):
    ours, theirs = twins.build(
        model,
        SHAPE,
        backend,
        torch.float32,
        num_layers=2,
        bidirectional=True,
        nonlinearity="tanh",
    )
    x = twins.data(SHAPE, torch.float32)
    exact = twins.run(theirs.double(), x.double().detach().requires_grad_())
    theirs.float()
    with torch.autocast("cpu", dtype=dtype):
        got, want = twins.run(ours, x), twins.run(theirs, x)
    step = torch.finfo(dtype).eps
    for name in ("output", "grad x", "grad rnn.0.u.weight"):
        # Stock's output is float32 under autocast, and so are gradients.
        assert got[name].dtype == want[name].dtype == torch.float32, name
        ours_off = twins.error(got[name], exact[name])
        # The precision is used, and what it costs is what it costs stock.
        assert step / 100 < ours_off, name
        stock_off = twins.error(want[name], exact[name])
        assert ours_off <= max(3 * stock_off, 30 * step), name


def test_float64_stays_float64(backend):
    w, u = twins.data((2, 5, 8)), twins.data((8, 4), seed=2)
    want = ligru_scan(w, u, backend=backend)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = ligru_scan(w, u, backend=backend)
    assert got.dtype == torch.float64 and torch.equal(got, want)
