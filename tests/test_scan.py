"""The operator: every backend against an oracle that autograd unrolls."""

import itertools

import pytest
import torch
import twins
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from speechbrain_ligru_fast import ligru_scan, ops
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES

pytestmark = pytest.mark.usefixtures("poisoned_memory")

ACTIVATIONS = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sin": torch.sin,
    "leaky_relu": torch.nn.functional.leaky_relu,
}
INPUTS = ("w", "u", "h0", "ln_weight", "ln_bias")


def oracle(
    w,
    u,
    h0=None,
    mask=None,
    lengths=None,
    nonlinearity="relu",
    directions=1,
    layernorm=False,
    ln_weight=None,
    ln_bias=None,
    eps=1e-5,
):
    """The recurrence one utterance, direction and frame after another."""
    batch, steps, width = w.shape
    rows = []
    for d, b in itertools.product(range(directions), range(batch)):
        row = d * batch + b
        n = steps if lengths is None else int(lengths[b])
        h = torch.zeros_like(u[0]) if h0 is None else h0[row]
        found = [None] * n
        for t in range(n) if d == 0 else reversed(range(n)):
            g = u @ h
            if layernorm:
                g = torch.nn.functional.layer_norm(
                    g, (width,), ln_weight, ln_bias, eps
                )
            a, z = (w[b, t] + g).chunk(2)
            z = torch.sigmoid(z)
            c = ACTIVATIONS[nonlinearity](a)
            if mask is not None:
                c = c * mask[row]
            h = z * h + (1 - z) * c
            found[t] = h
        padding = [torch.zeros_like(u[0])] * (steps - n)
        rows.append(torch.stack(found + padding))
    halves = torch.stack(rows).unflatten(0, (directions, batch))
    return torch.cat(list(halves), 2)


def arguments(
    batch=3,
    steps=4,
    hidden=3,
    dtype=torch.float64,
    h0=True,
    mask=False,
    lengths=False,
    affine=False,
    **options,
):
    """Random arguments of a scan by name; leaves where gradients are asked."""
    rows = batch * options.get("directions", 1)
    found = {
        "w": twins.data((batch, steps, 2 * hidden), dtype, seed=1),
        "u": twins.data((2 * hidden, hidden), dtype, seed=2),
        **options,
    }
    if h0:
        found["h0"] = twins.data((rows, hidden), dtype, seed=3)
    if mask:
        keep = twins.data((rows, hidden), dtype, seed=4).detach() > -0.5
        found["mask"] = keep.to(dtype) / 0.7
    if lengths:
        found["lengths"] = torch.arange(batch) * 7 % steps + 1
    if affine:
        found["ln_weight"] = twins.data((2 * hidden,), dtype, seed=5)
        found["ln_bias"] = twins.data((2 * hidden,), dtype, seed=6)
    return found


def run(function, arguments, **more):
    """Output and gradients by name."""
    leaves = {k: v for k, v in arguments.items() if k in INPUTS}
    output = function(**arguments, **more)
    weight = twins.data(output.shape, output.dtype, seed=9).detach()
    grads = torch.autograd.grad(output, leaves.values(), weight)
    return {
        "output": output.detach(),
        **{f"grad {k}": g for k, g in zip(leaves, grads)},
    }


OPTIONS = [
    dict(directions=directions, **recurrent, **given)
    for directions, recurrent, given in itertools.product(
        (1, 2),
        ({}, {"layernorm": True}, {"layernorm": True, "affine": True}),
        ({"h0": False}, {"mask": True}, {"lengths": True, "mask": True}),
    )
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_the_oracle(backend, options):
    for nonlinearity in NONLINEARITIES:
        given = arguments(nonlinearity=nonlinearity, **options)
        want = run(oracle, given)
        twins.assert_equal(run(ligru_scan, given, backend=backend), want)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("layernorm", [False, True])
def test_an_utterance_of_no_frames(backend, directions, layernorm):
    given = arguments(directions=directions, layernorm=layernorm)
    given["lengths"] = torch.tensor([0, 4, 2])
    got = run(ligru_scan, given, backend=backend)
    twins.assert_equal(got, run(oracle, given))
    assert not got["output"][0].any() and not got["grad w"][0].any()


@pytest.mark.parametrize("options", OPTIONS[::-2], ids=str)
def test_gradcheck(backend, options):
    # Seeds keep the candidates of relu away from its kink.
    nonlinearity = "tanh" if options["directions"] == 1 else "relu"
    given = arguments(
        batch=2, steps=3, hidden=2, nonlinearity=nonlinearity, **options
    )
    names = [name for name in INPUTS if name in given]
    rest = {k: v for k, v in given.items() if k not in names}

    def function(*leaves):
        leaves = dict(zip(names, leaves))
        return ligru_scan(**leaves, **rest, backend=backend)

    assert gradcheck(function, [given[name] for name in names])


def operands(given, backend, save=True):
    """Positional arguments of the custom operator ``scan``."""
    optional = ("h0", "mask", "lengths", "ln_weight", "ln_bias")
    return (
        given["w"],
        given["u"],
        *[given.get(name) for name in optional],
        given.get("nonlinearity", "relu"),
        given.get("directions", 1),
        given.get("layernorm", False),
        1e-5,
        backend,
        save,
    )


@pytest.mark.parametrize(
    "options", [OPTIONS[1], OPTIONS[5], OPTIONS[17]], ids=str
)
def test_opcheck(backend, options):
    given = arguments(dtype=torch.float32, **options)
    torch.library.opcheck(ops.scan, operands(given, backend))
    detached = {
        k: v.detach() if torch.is_tensor(v) else v for k, v in given.items()
    }
    args = operands(detached, backend)
    torch.library.opcheck(ops.scan, operands(detached, backend, save=False))
    output, gates, normed, rstd = ops.scan(*args)
    _, u, h0, mask, lengths, ln_weight, ln_bias, *spec = args[:-1]
    torch.library.opcheck(
        ops.scan_backward,
        (torch.ones_like(output), output, gates, normed, rstd, u, h0, mask)
        + (lengths, ln_weight, [True] * 3 + [ln_weight is not None] * 2, *spec),
    )


def test_double_backward_raises(backend):
    given = arguments()
    output = ligru_scan(**given, backend=backend)
    (grad,) = torch.autograd.grad(
        output.square().sum(), given["w"], create_graph=True
    )
    with pytest.raises(RuntimeError, match="ligru_scan.*second time.*restore"):
        grad.sum().backward()


def test_saves_only_for_a_backward(backend):
    given = arguments(layernorm=True)
    saved = []

    def pack(tensor):
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        ligru_scan(**given, backend=backend)
        assert sum(saved) > given["w"].numel()
        saved.clear()
        with torch.no_grad():
            ligru_scan(**given, backend=backend)
    assert saved == []
    for tensor in ops.scan(*operands(given, backend, save=False))[1:]:
        assert tensor.numel() == 0


def test_any_strides(backend):
    given = arguments(directions=2)
    want = run(ligru_scan, given, backend=backend)
    w = given["w"].detach().permute(2, 0, 1).contiguous().permute(1, 2, 0)
    u = torch.cat([given["u"].detach()] * 2, 1)[:, :3]
    h0 = given["h0"].detach().t().contiguous().t()
    strided = {**given, "w": w, "u": u, "h0": h0}
    for name in ("w", "u", "h0"):
        assert not strided[name].is_contiguous()
        strided[name].requires_grad_()
    twins.assert_equal(run(ligru_scan, strided, backend=backend), want)
    # A gradient that is expanded from one number has stride 0.
    ligru_scan(**given, backend=backend).sum().backward()
    ligru_scan(**strided, backend=backend).sum().backward()
    assert torch.allclose(given["w"].grad, strided["w"].grad)


@pytest.mark.parametrize("directions", [1, 2])
def test_results_are_contiguous_as_the_fake_promises(backend, directions):
    w, u = twins.data((3, 9, 10)), twins.data((10, 5), seed=2)
    output = ligru_scan(w, u, directions=directions, backend=backend)
    assert output.is_contiguous()
    h0 = twins.data((3 * directions, 5), seed=3)
    output = ligru_scan(w, u, h0, directions=directions, backend=backend)
    grads = torch.autograd.grad(output.sum(), (w, u, h0))
    assert all(grad.is_contiguous() for grad in grads)


def test_a_mask_gets_no_gradient(backend):
    w, u = twins.data((3, 9, 10)), twins.data((10, 5), seed=2)
    mask = twins.data((3, 5), seed=3)
    ligru_scan(w, u, mask=mask, backend=backend).sum().backward()
    assert mask.grad is None and w.grad.any()


def test_inputs_stay_as_they_are(backend):
    given = arguments(directions=2, lengths=True, mask=True, layernorm=True)
    before = {k: v.clone() for k, v in given.items() if torch.is_tensor(v)}
    run(ligru_scan, given, backend=backend)
    for name, value in before.items():
        assert torch.equal(given[name], value), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_state_is_float32_below(backend, dtype):
    """Operands are rounded, the state is not: T roundings do not add up."""
    given = arguments(steps=40, dtype=dtype)
    exact = {k: v.detach().double().requires_grad_() for k, v in given.items()}
    want = run(oracle, exact)
    got = run(ligru_scan, given, backend=backend)
    eps = torch.finfo(dtype).eps
    assert got["output"].dtype == dtype
    # One rounding of the output and one of each operand of the product.
    assert twins.error(got["output"], want["output"]) <= 4 * eps
    for name in ("w", "u", "h0"):
        assert got[f"grad {name}"].dtype == dtype
        assert twins.error(got[f"grad {name}"], want[f"grad {name}"]) <= 8 * eps


@st.composite
def scans(draw):
    """Sizes and options of a scan; what shrinks is simpler."""
    layernorm = draw(st.booleans())
    return dict(
        batch=draw(st.integers(1, 9)),
        steps=draw(st.integers(1, 9)),
        hidden=draw(st.integers(1, 37)),
        directions=draw(st.integers(1, 2)),
        nonlinearity=draw(st.sampled_from(NONLINEARITIES)),
        h0=draw(st.booleans()),
        mask=draw(st.booleans()),
        lengths=draw(st.booleans()),
        layernorm=layernorm,
        affine=layernorm and draw(st.booleans()),
    )


# The fixture only sets a flag: every example may share it.
SIXTY = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@SIXTY
@given(scans())
def test_backends_agree_with_the_reference(options):
    given = arguments(**options)
    want = run(ligru_scan, given, backend="reference")
    for backend in twins.available():
        twins.assert_equal(run(ligru_scan, given, backend=backend), want)
