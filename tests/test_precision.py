"""The pointwise functions: every digit, at every size of their argument."""

import mpmath
import pytest
import torch

from speechbrain_ligru_fast import ligru_scan

pytestmark = pytest.mark.usefixtures("poisoned_memory")

# A gate that lets all of the candidate through: sigmoid(-700) is 1e-304.
CLOSED = -700.0
UNITS = 16
# More than a network comes to.
LARGE = [1e3, -12345.678, 1e5, 3e6]
DERIVATIVES = {
    "tanh": lambda x: mpmath.sech(x) ** 2,
    "sin": mpmath.cos,
    "relu": lambda x: mpmath.mpf(x > 0),
    "leaky_relu": lambda x: mpmath.mpf(1 if x > 0 else 0.01),
}
FUNCTIONS = {
    "tanh": mpmath.tanh,
    "sin": mpmath.sin,
    "relu": lambda x: x if x > 0 else mpmath.mpf(0),
    "leaky_relu": lambda x: x if x > 0 else x * mpmath.mpf(0.01),
}


def sizes(dtype, most=20.0):
    """Numbers of both signs, from far below 1 up, dense where they matter.

    Backend numba takes smaller states for 0.
    """
    least = -300 if dtype == torch.float64 else -30
    ends = torch.logspace(least, 0, 40, dtype=torch.float64)
    middle = torch.linspace(0.05, most, 200, dtype=torch.float64)
    # Where one formula takes over from another.
    seams = torch.tensor([0.62, 0.625, 0.63, 0.69, 0.7, 0.71]).double()
    found = torch.cat([ends, middle, seams]).to(dtype)
    return torch.cat([found, -found, *[found.new_zeros(1)] * 4])


def exact(function, x):
    """A function of every number of a tensor, to 60 digits; as float64."""
    with mpmath.workdps(60):
        found = [float(function(mpmath.mpf(v.item()))) for v in x]
    return torch.tensor(found, dtype=torch.float64)


def worst(got, want):
    """The largest relative error, in units of the type's epsilon."""
    assert not got.isnan().any()
    apart = (got.double() - want).abs() / want.abs()
    apart = apart[want != 0]
    assert not got[want == 0].any()
    return apart.max().item() / torch.finfo(got.dtype).eps


def one_step(x, gates, h0, backend, nonlinearity):
    """Output of one step of a unit per number, and w's gradient."""
    w = torch.stack([x, gates]).reshape(2, -1, 1, UNITS)
    w = torch.cat([w[0], w[1]], 2).requires_grad_()
    if h0 is not None:
        h0 = h0.reshape(-1, UNITS)
    output = ligru_scan(
        w,
        x.new_zeros(2 * UNITS, UNITS),
        h0,
        nonlinearity=nonlinearity,
        backend=backend,
    )
    (grad,) = torch.autograd.grad(output.sum(), w)
    slopes = [part.flatten() for part in grad.chunk(2, 2)]
    return output.detach().flatten(), slopes


def check_activation(backend, dtype, nonlinearity, limit=5):
    """An activation and its derivative against mpmath's.

    ``limit`` is in epsilons: a few roundings, of which a vectorised library
    has three and a half alone.
    """
    x = sizes(dtype)
    if nonlinearity == "leaky_relu":
        x = x / 0.009
    if nonlinearity == "sin":
        x[-4:] = torch.tensor(LARGE, dtype=dtype)
    closed = torch.full_like(x, CLOSED)
    output, (slope, _) = one_step(x, closed, None, backend, nonlinearity)
    assert worst(output, exact(FUNCTIONS[nonlinearity], x)) <= limit
    assert worst(slope, exact(DERIVATIVES[nonlinearity], x)) <= limit


def check_gate(backend, dtype, limit=5):
    """sigmoid and its derivative, where the kept state is 1."""

    def sigmoid(x):
        return 1 / (1 + mpmath.exp(-x))

    x = sizes(dtype, 60.0)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    output, (_, slope) = one_step(zero, x, one, backend, "relu")
    assert worst(output, exact(sigmoid, x)) <= limit
    # From a gate that is kept as a number near 1, 1 - z can't be known.
    small = x < 1
    want = exact(lambda v: sigmoid(v) * (1 - sigmoid(v)), x)
    assert worst(slope[small], want[small]) <= limit


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("nonlinearity", FUNCTIONS)
def test_activations(backend, dtype, nonlinearity):
    check_activation(backend, dtype, nonlinearity)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_gates(backend, dtype):
    check_gate(backend, dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_a_decoders_single_step(dtype):
    x = sizes(dtype)
    closed = torch.full_like(x, CLOSED)
    output, _ = one_step(x, closed, None, "auto", "tanh")
    assert worst(output, exact(mpmath.tanh, x)) <= 5
