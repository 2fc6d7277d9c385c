"""Random arguments of ``ligru_scan``, and an oracle that autograd unrolls."""

import itertools

import torch
import twins
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from speechbrain_ligru_fast.backends.spec import NONLINEARITIES

ACTIVATIONS = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sin": torch.sin,
    "leaky_relu": torch.nn.functional.leaky_relu,
}
# What a scan has a gradient of.
INPUTS = ("w", "u", "h0", "ln_weight", "ln_bias")

RECURRENT = ({}, {"layernorm": True}, {"layernorm": True, "affine": True})
OPTIONS = [
    dict(directions=directions, **recurrent, **given)
    for directions, recurrent, given in itertools.product(
        (1, 2),
        RECURRENT,
        ({"h0": False}, {"mask": True}, {"lengths": True, "mask": True}),
    )
]


def oracle(
    w, u, h0=None, mask=None, lengths=None, nonlinearity="relu", directions=1,
    layernorm=False, ln_weight=None, ln_bias=None, eps=1e-5,
):  # fmt: skip
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
    batch=3, steps=4, hidden=3, dtype=torch.float64,
    h0=True, mask=False, lengths=False, affine=False, **options,
):  # fmt: skip
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


def drawn(hidden, operand=torch.float32, dtype=torch.float32, **options):
    """Arguments whose states stay small, with u in the type of a product."""
    given = arguments(hidden=hidden, dtype=dtype, **options)
    u = given["u"].detach() / max(hidden, 1) ** 0.5
    return {**given, "u": u.to(operand).requires_grad_()}


def operands(given, *more):
    """Positional arguments of the operator ``scan``, then its backend."""
    tensors = ("w", "u", "h0", "mask", "lengths", "ln_weight", "ln_bias")
    return [
        *map(given.get, tensors), given.get("nonlinearity", "relu"),
        given.get("directions", 1), given.get("layernorm", False), 1e-5, *more,
    ]  # fmt: skip


def backward_operands(operands, found, recompute=False, needs=None):
    """Those of ``scan_backward`` after what ``scan`` has found."""
    w, u, h0, mask, lengths, ln_weight, ln_bias, *options = operands
    if needs is None:
        needs = [x is not None for x in (w, u, h0, ln_weight, ln_bias)]
    grad = twins.data(found[0].shape, found[0].dtype, seed=9).detach()
    again = (w, ln_bias) if recompute else (None, None)
    return [
        grad, *found, u, h0, mask, lengths, ln_weight, needs, *options, *again
    ]  # fmt: skip


def run(function, arguments, **more):
    """Output and gradients by name."""
    leaves = {k: v for k, v in arguments.items() if k in INPUTS}
    output = function(**arguments, **more)
    weight = twins.data(output.shape, output.dtype, seed=9).detach()
    grads = torch.autograd.grad(output, leaves.values(), weight)
    names = [f"grad {name}" for name in leaves]
    return {"output": output.detach(), **dict(zip(names, grads))}


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
SHARED = [HealthCheck.function_scoped_fixture]
SIXTY = settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=SHARED,
)  # fmt: skip
