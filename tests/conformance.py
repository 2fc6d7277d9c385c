"""What every backend is checked for, on whatever device it runs."""

import itertools

import mpmath
import pytest
import torch
import twins
from scan_cases import RECURRENT, arguments, drawn, operands, run

from speechbrain_ligru_fast import backends, ligru_scan
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES
from speechbrain_ligru_fast.scan.operator import scan

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


class Conformance:
    """What a backend does where others go wrong.

    A subclass names its ``BACKENDS``, else they are all that this CPU has,
    and prepares what they run on. ``TYPES`` are w's and, if another, u's.
    """

    TYPES = [(torch.float32,)]
    HIDDEN = [21]
    SPECIAL = torch.nan, torch.inf, -torch.inf
    # Relative errors of the output and of gradients, in the first type.
    LIMITS = 2e-6, 1e-5

    def pytest_generate_tests(self, metafunc):
        dtypes = [w for w, *u in self.TYPES if not u]
        for name, values in (
            ("types", self.TYPES), ("dtype", dtypes), ("hidden", self.HIDDEN)
        ):  # fmt: skip
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, values, ids=str)

    def test_nothing(self, backend, types):
        # The types turn by turn: each meets every size.
        options = EMPTY_OPTIONS[self.TYPES.index(types) :: 3]
        check_empty(backend, *types, options=options)

    def test_an_infinity_stays_one(self, backend, hidden, types):
        """No padding of a tile makes it NaN."""
        check_infinite(backend, hidden, *types)

    @pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
    def test_what_is_not_finite_stays_so(self, backend, nonlinearity):
        """In its row, as in the reference, also in the gates that are saved."""
        for value in self.SPECIAL:
            given = drawn(self.HIDDEN[0], steps=3, nonlinearity=nonlinearity)
            given["w"].data[1, 1, 2] = value
            got, want = (
                scan(*operands(given, name, True))[:2]
                for name in (backend, "reference")
            )
            for ours, theirs in zip(got, want):
                assert torch.equal(ours.isnan(), theirs.isnan())
                assert torch.equal(ours.isinf(), theirs.isinf())

    def test_every_digit(self, backend, dtype):
        """A few roundings; a vectorised library has three and a half alone."""
        for nonlinearity in NONLINEARITIES:
            check_activation(backend, dtype, nonlinearity)
        check_gate(backend, dtype)

    @pytest.mark.parametrize("layernorm", [False, True])
    def test_others_read_what_it_saves(self, backend, layernorm, monkeypatch):
        """And it saves nothing that nobody asks for."""
        genuine = backends.run

        def run(function, name, *arguments):
            back = function == "scan_backward"
            return genuine(function, "reference" if back else name, *arguments)

        monkeypatch.setattr(backends, "run", run)
        dtype = self.TYPES[0][0]
        given = drawn(
            self.HIDDEN[0], dtype, dtype, directions=2, lengths=True, mask=True,
            layernorm=layernorm,
        )  # fmt: skip
        check_equals(backend, given, *self.LIMITS)
        _, *saved = scan(*operands(given, backend, False))
        assert not any(tensor.numel() for tensor in saved)


def check_equals(backend, given, limit, gradient_limit):
    """Output and gradients are the reference's, of its types."""
    want = run(ligru_scan, given, backend="reference")
    got = run(ligru_scan, given, backend=backend)
    for name, value in want.items():
        assert got[name].dtype == value.dtype, name
        most = limit if name == "output" else gradient_limit
        # Written so that a NaN fails.
        assert twins.error(got[name], value) <= most, name


def check_empty(
    backend, dtype, operand=None, options=EMPTY_OPTIONS, sizes=EMPTY_SIZES,
    **more,
):  # fmt: skip
    """Results and gradients where there is nothing to compute."""
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


def positive(hidden, dtype, operand=None, **options):
    """A scan whose weights only add: no infinity minus infinity."""
    given = arguments(
        5, 6, hidden, dtype, nonlinearity="tanh", directions=2, **options
    )
    u = given["u"].detach().abs() + 0.1
    given["u"] = u.to(operand or dtype).requires_grad_()
    given["h0"] = torch.ones_like(given["h0"]).requires_grad_()
    return given


def assert_same_places(got, want, limit):
    """NaN, infinities and numbers are in the same places."""
    assert torch.equal(got.isnan(), want.isnan())
    assert torch.equal(got.isposinf(), want.isposinf())
    assert torch.equal(got.isneginf(), want.isneginf())
    there = want.isfinite()
    assert twins.error(got[there], want[there]) <= limit


def check_infinite(backend, hidden, dtype, operand=None):
    """A state, and a gradient of the output, that is infinite."""
    limit = 100 * torch.finfo(operand or dtype).eps
    names = backend, "reference"
    for padded in (False, True):
        given = positive(hidden, dtype, operand, lengths=padded, mask=padded)
        # Row 1's gates stay open, and its infinity where it is, for ever.
        given["h0"].data[1, hidden // 2] = torch.inf
        with torch.no_grad():
            outputs = [ligru_scan(**given, backend=name) for name in names]
        given = positive(hidden, dtype, operand, lengths=padded)
        # States above every candidate: a gradient's infinity keeps its sign.
        given["w"].data[..., :hidden] = -3
        given["u"].data *= 0.01
        grads = []
        for name in names:
            output = ligru_scan(**given, backend=name)
            grad = torch.ones_like(output)
            grad[1, given.get("lengths", [6] * 5)[1] - 1, 0] = torch.inf
            leaves = given["w"], given["h0"]
            grads.append(torch.autograd.grad(output, leaves, grad))
        for got, want in (outputs, *zip(*grads)):
            assert want[1].isinf().any() and not want.isnan().any()
            assert_same_places(got, want, limit)


# A gate that lets all of the candidate through: sigmoid(-700) is 1e-304.
_CLOSED = -700.0
_UNITS = 16
# More than a network comes to.
_LARGE = [1e3, -12345.678, 1e5, 3e6]
# Each with its derivative.
_FUNCTIONS = {
    "tanh": (mpmath.tanh, lambda x: mpmath.sech(x) ** 2),
    "sin": (mpmath.sin, mpmath.cos),
    "relu": (lambda x: max(x, 0), lambda x: x > 0),
    "leaky_relu": (
        lambda x: x if x > 0 else x * mpmath.mpf(0.01),
        lambda x: 1 if x > 0 else 0.01,
    ),
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


def _assert_digits(got, function, x, limit=5):
    """Relative errors to 60 digits, in units of the type's epsilon."""
    with mpmath.workdps(60):
        want = [float(function(mpmath.mpf(v.item()))) for v in x]
    want = torch.tensor(want, dtype=torch.float64)
    assert not got.isnan().any() and not got[want == 0].any()
    apart = ((got.double() - want).abs() / want.abs())[want != 0]
    assert apart.max() <= limit * torch.finfo(got.dtype).eps


def _one_step(x, gates, h0, backend, nonlinearity):
    """Output of one step of a unit per number, and w's gradient."""
    w = torch.stack([x, gates]).reshape(2, -1, 1, _UNITS)
    w = torch.cat([w[0], w[1]], 2).requires_grad_()
    u = x.new_zeros(2 * _UNITS, _UNITS)
    h0 = h0 if h0 is None else h0.reshape(-1, _UNITS)
    output = ligru_scan(w, u, h0, nonlinearity=nonlinearity, backend=backend)
    (grad,) = torch.autograd.grad(output.sum(), w)
    slopes = [part.flatten() for part in grad.chunk(2, 2)]
    return output.detach().flatten(), slopes


def check_activation(backend, dtype, nonlinearity, slopes=True):
    """An activation, and its derivative if ``slopes``, against mpmath's."""
    function, derivative = _FUNCTIONS[nonlinearity]
    x = _sizes(dtype)
    if nonlinearity == "leaky_relu":
        x = x / 0.009
    if nonlinearity == "sin":
        x[-4:] = torch.tensor(_LARGE, dtype=dtype)
    closed = torch.full_like(x, _CLOSED)
    output, (slope, _) = _one_step(x, closed, None, backend, nonlinearity)
    _assert_digits(output, function, x)
    if slopes:
        _assert_digits(slope, derivative, x)


def check_gate(backend, dtype):
    """sigmoid and its derivative, where the kept state is 1."""

    def sigmoid(x):
        return 1 / (1 + mpmath.exp(-x))

    x = _sizes(dtype, 60.0)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    output, (_, slope) = _one_step(zero, x, one, backend, "relu")
    _assert_digits(output, sigmoid, x)
    # From a gate that is kept as a number near 1, 1 - z can't be known.
    small = x < 1
    _assert_digits(
        slope[small], lambda v: sigmoid(v) * (1 - sigmoid(v)), x[small]
    )
