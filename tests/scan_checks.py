"""What every backend is checked for, on whatever device it runs.

Equality, sizes of 0, what is not finite, and the digits of the activations.
"""

import itertools

import mpmath
import torch
import twins
from scan_cases import RECURRENT, arguments, run

from speechbrain_ligru_fast import ligru_scan

# (batch, steps, hidden, frames of every utterance or None for all)
EMPTY_SIZES = [
    sizes
    for sizes in itertools.product((0, 3), (0, 1, 4), (0, 5), (None, 0))
    if 0 in sizes
]
EMPTY_OPTIONS = [
    dict(recurrent, directions=directions, h0=given, mask=given)
    for directions, recurrent, given in itertools.product(
        (1, 2), RECURRENT, (False, True)
    )
]


def check_equals(backend, given, limit, gradient_limit=None):
    """Output and gradients are the reference's, of its types.

    Arguments
    ---------
    backend : str
        Its name.
    given : dict
        Arguments of ``ligru_scan``.
    limit, gradient_limit : float
        Largest relative errors of the output and, if others, of gradients.
    """
    want = run(ligru_scan, given, backend="reference")
    got = run(ligru_scan, given, backend=backend)
    for name, value in want.items():
        assert got[name].dtype == value.dtype, name
        most = limit if name == "output" else gradient_limit or limit
        # Written so that a NaN fails.
        assert twins.error(got[name], value) <= most, name


def check_empty(
    backend,
    dtype=torch.float64,
    operand=None,
    options=EMPTY_OPTIONS,
    sizes=EMPTY_SIZES,
    **more,
):
    """Results and gradients where there is nothing to compute.

    Arguments
    ---------
    backend : str
        Its name; it is compared with the reference.
    dtype : torch.dtype
        Of all tensors but u.
    operand : torch.dtype | None
        Of u.
    options, sizes : list
        Each option with each size.
    **more
        For ``ligru_scan``.
    """
    for size, chosen in itertools.product(sizes, options):
        *shape, frames = size
        given = arguments(*shape, dtype, **chosen)
        given["u"] = given["u"].detach().to(operand or dtype).requires_grad_()
        if frames is not None:
            given["lengths"] = torch.full((shape[0],), frames)
        case = f"{size} {chosen}"
        want = run(ligru_scan, given, backend="reference")
        got = run(ligru_scan, given, backend=backend, **more)
        with torch.no_grad():
            got["without"] = ligru_scan(**given, backend=backend)
        want["without"] = want["output"]
        for name, value in want.items():
            assert got[name].dtype == value.dtype, f"{name}: {case}"
            # There is no arithmetic to differ in: zeros, or what passes by.
            assert torch.equal(got[name], value), f"{name}: {case}"


def _positive(hidden, dtype, operand, **options):
    """A scan whose weights only add: no infinity minus infinity."""
    given = arguments(
        5, 6, hidden, dtype, nonlinearity="tanh", directions=2, **options
    )
    u = given["u"].detach().abs() + 0.1
    given["u"] = u.to(operand or dtype).requires_grad_()
    given["h0"] = torch.ones_like(given["h0"]).requires_grad_()
    return given


def infinite_state(hidden, dtype, operand=None, **options):
    """Row 1's gates stay open, and its infinity where it is, for ever."""
    given = _positive(hidden, dtype, operand, **options)
    given["h0"].data[1, hidden // 2] = torch.inf
    return given


def infinite_gradient(hidden, dtype, operand=None, **options):
    """States above every candidate: a gradient's infinity keeps its sign."""
    given = _positive(hidden, dtype, operand, **options)
    given["w"].data[..., :hidden] = -3
    given["u"].data *= 0.01
    return given


def assert_same_places(got, want, limit):
    """NaN, infinities and numbers are in the same places."""
    assert torch.equal(got.isnan(), want.isnan())
    assert torch.equal(got.isposinf(), want.isposinf())
    assert torch.equal(got.isneginf(), want.isneginf())
    there = want.isfinite()
    assert twins.error(got[there], want[there]) <= limit


def check_infinite(backend, hidden, dtype=torch.float64, operand=None):
    """A state, and a gradient of the output, that is infinite."""
    limit = 100 * torch.finfo(operand or dtype).eps
    for options in ({}, {"lengths": True, "mask": True}):
        given = infinite_state(hidden, dtype, operand, **options)
        with torch.no_grad():
            want = ligru_scan(**given, backend="reference")
            got = ligru_scan(**given, backend=backend)
        assert want[1].isinf().any() and not want.isnan().any()
        assert_same_places(got, want, limit)
        options.pop("mask", None)
        given = infinite_gradient(hidden, dtype, operand, **options)
        found = {}
        for name in ("reference", backend):
            output = ligru_scan(**given, backend=name)
            grad = torch.ones_like(output)
            grad[1, given.get("lengths", [6] * 5)[1] - 1, 0] = torch.inf
            leaves = given["w"], given["h0"]
            found[name] = torch.autograd.grad(output, leaves, grad)
        for got, want in zip(found[backend], found["reference"]):
            assert want[1].isinf().any() and not want.isnan().any()
            assert_same_places(got, want, limit)


# A gate that lets all of the candidate through: sigmoid(-700) is 1e-304.
_CLOSED = -700.0
_UNITS = 16
# More than a network comes to.
_LARGE = [1e3, -12345.678, 1e5, 3e6]
_DERIVATIVES = {
    "tanh": lambda x: mpmath.sech(x) ** 2,
    "sin": mpmath.cos,
    "relu": lambda x: mpmath.mpf(x > 0),
    "leaky_relu": lambda x: mpmath.mpf(1 if x > 0 else 0.01),
}
_FUNCTIONS = {
    "tanh": mpmath.tanh,
    "sin": mpmath.sin,
    "relu": lambda x: x if x > 0 else mpmath.mpf(0),
    "leaky_relu": lambda x: x if x > 0 else x * mpmath.mpf(0.01),
}


def _sizes(dtype, most=20.0):
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


def _exact(function, x):
    """A function of every number of a tensor, to 60 digits; as float64."""
    with mpmath.workdps(60):
        found = [float(function(mpmath.mpf(v.item()))) for v in x]
    return torch.tensor(found, dtype=torch.float64)


def _worst(got, want):
    """The largest relative error, in units of the type's epsilon."""
    assert not got.isnan().any()
    apart = (got.double() - want).abs() / want.abs()
    apart = apart[want != 0]
    assert not got[want == 0].any()
    return apart.max().item() / torch.finfo(got.dtype).eps


def _one_step(x, gates, h0, backend, nonlinearity):
    """Output of one step of a unit per number, and w's gradient."""
    w = torch.stack([x, gates]).reshape(2, -1, 1, _UNITS)
    w = torch.cat([w[0], w[1]], 2).requires_grad_()
    output = ligru_scan(
        w,
        x.new_zeros(2 * _UNITS, _UNITS),
        h0 if h0 is None else h0.reshape(-1, _UNITS),
        nonlinearity=nonlinearity,
        backend=backend,
    )
    (grad,) = torch.autograd.grad(output.sum(), w)
    slopes = [part.flatten() for part in grad.chunk(2, 2)]
    return output.detach().flatten(), slopes


def check_activation(backend, dtype, nonlinearity, limit=5, slopes=True):
    """An activation, and its derivative if ``slopes``, against mpmath's.

    ``limit`` is in epsilons: a few roundings, of which a vectorised library
    has three and a half alone.
    """
    x = _sizes(dtype)
    if nonlinearity == "leaky_relu":
        x = x / 0.009
    if nonlinearity == "sin":
        x[-4:] = torch.tensor(_LARGE, dtype=dtype)
    closed = torch.full_like(x, _CLOSED)
    output, (slope, _) = _one_step(x, closed, None, backend, nonlinearity)
    assert _worst(output, _exact(_FUNCTIONS[nonlinearity], x)) <= limit
    if slopes:
        assert _worst(slope, _exact(_DERIVATIVES[nonlinearity], x)) <= limit


def check_gate(backend, dtype, limit=5):
    """sigmoid and its derivative, where the kept state is 1."""

    def sigmoid(x):
        return 1 / (1 + mpmath.exp(-x))

    x = _sizes(dtype, 60.0)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    output, (_, slope) = _one_step(zero, x, one, backend, "relu")
    assert _worst(output, _exact(sigmoid, x)) <= limit
    # From a gate that is kept as a number near 1, 1 - z can't be known.
    small = x < 1
    want = _exact(lambda v: sigmoid(v) * (1 - sigmoid(v)), x)
    assert _worst(slope[small], want[small]) <= limit
