"""What float32, 16 bits and autocast cost, beside what they cost stock."""

import copy

import pytest
import torch
import twins

from speechbrain_ligru_fast.backends.spec import NONLINEARITIES

pytestmark = pytest.mark.usefixtures("poisoned_memory")
SHAPE = (4, 9, 8)


def limit(stock_error, dtype):
    """Four times stock's own error, and a few roundings where it is 0."""
    return 4 * stock_error + 4 * torch.finfo(dtype).eps


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16]
)
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_outputs(backend, model, dtype, nonlinearity):
    options = dict(bidirectional=True, nonlinearity=nonlinearity)
    ours, theirs = twins.build(model, SHAPE, backend, dtype, **options)
    exact = copy.deepcopy(theirs).double()
    x = twins.data(SHAPE).detach().to(dtype)
    want, got = exact(x.double())[0], ours(x)[0]
    assert got.dtype == dtype
    yardstick = twins.error(theirs(x)[0], want)
    assert twins.error(got, want) <= limit(yardstick, dtype)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("training", [False, True])
def test_gradients_in_float32(backend, model, training):
    # Smooth: at a kink one rounding could change a gradient entirely.
    ours, theirs = twins.build(
        model, SHAPE, backend, torch.float32, nonlinearity="tanh", num_layers=2
    )
    exact = copy.deepcopy(theirs).double()
    for module in (ours, theirs, exact):
        module.train(training)
    x = twins.data(SHAPE, torch.float32)
    want = twins.run(exact, x.detach().double().requires_grad_())
    yardstick, got = twins.run(theirs, x), twins.run(ours, x)
    for name, value in want.items():
        allowed = limit(twins.error(yardstick[name], value), torch.float32)
        assert twins.error(got[name], value) <= allowed, name


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(backend, model, dtype):
    """Low precision operands, float32 state and output."""
    options = dict(num_layers=2, bidirectional=True, nonlinearity="tanh")
    ours, theirs = twins.build(model, SHAPE, backend, torch.float32, **options)
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
