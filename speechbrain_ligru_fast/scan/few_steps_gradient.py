"""A few steps of the recurrence, and their gradients written by hand.

What autograd would record of a step takes longer than the step. No graph is
recorded here: whoever calls this has an autograd.Function around it.
"""

import torch

from speechbrain_ligru_fast.backends.reference import activation
from speechbrain_ligru_fast.backends.spec import LEAKY_SLOPE

_ops = torch.ops.aten
# Values that are saved for a step.
SAVED = 8


def forward(
    frames, u, h, mask, nonlinearity, directions, layernorm, ln_weight,
    ln_bias, eps, saved=None,
):  # fmt: skip
    """The states.

    Arguments
    ---------
    frames : sequence
        Of (B, 2H) tensors: w, frame after frame.
    u, h, mask, nonlinearity, directions, layernorm, ln_weight, ln_bias, eps
        As ``few_steps.scan`` has them; h as its h0.
    saved : list | None
        Where to put what ``backward`` reads: ``SAVED`` a step.

    Returns
    -------
    output : Tensor
        (B, T, D * H).
    last : Tensor
        (D * B, H), memory of its own.

    Example
    -------
    >>> frames, u = [torch.randn(4, 6)] * 2, torch.randn(6, 3)
    >>> h = torch.zeros(4, 3)
    >>> with torch.no_grad():
    ...     output, last = forward(
    ...         frames, u, h, None, "relu", 1, False, None, None, 0.0
    ...     )
    >>> output.shape, torch.equal(output[:, -1], last)
    (torch.Size([4, 2, 3]), True)
    """
    given = frames
    if directions == 2:
        given = map(torch.cat, zip(frames, reversed(frames)))
    u_t = u.t()
    # A number in its place becomes a tensor in every step.
    one = u.new_ones(())
    states, norm = [], (None, None, None)
    for g in given:
        if layernorm:
            projected = torch.mm(h, u_t)
            normed, mean, rstd = torch.native_layer_norm(
                projected, (u.size(0),), ln_weight, ln_bias, eps
            )
            norm = projected, mean, rstd
            g = normed.add_(g)
        else:
            g = torch.addmm(g, h, u_t)
        a, z = g.chunk(2, 1)
        z = torch.sigmoid(z)
        rest = torch.sub(one, z)
        if saved is None and nonlinearity == "relu":
            c = a.relu_()
        else:
            c = activation(nonlinearity, a)
        if mask is not None:
            c = c * mask
        if saved is not None:
            saved += (*norm, h, a, z, rest, c)
        # Not lerp: that makes a NaN of an infinite candidate.
        h = torch.mul(rest, c).addcmul_(z, h)
        states.append(h)
    if directions == 1:
        return torch.stack(states, 1), h
    forward, backward = zip(*(h.chunk(2) for h in states))
    # Frame after frame, the directions side by side.
    pairs = [x for pair in zip(forward, reversed(backward)) for x in pair]
    output = torch.cat(pairs, 1)
    return output.view(output.size(0), len(frames), -1), h


def backward(
    grad, dlast, u, mask, saved, nonlinearity, directions, ln_weight, ln_bias,
    needs,
):  # fmt: skip
    """Gradients of w, u, h, ln_weight and ln_bias.

    Arguments
    ---------
    grad : Tensor
        (B, T, D * H).
    dlast : Tensor | None
        (D * B, H), of ``last``.
    u, mask, nonlinearity, directions, ln_weight, ln_bias
        As ``forward`` had them.
    saved : sequence
        What it has put there.
    needs : list
        Whether each is needed.

    Returns
    -------
    list
        w's as (B, T, 2H); what is not needed may be None.
    """
    width, hidden = u.shape
    dgates, dprojected, affine = [], [], []
    carry = dlast
    steps = len(saved) // SAVED
    previous = []
    for i in range(steps):
        t = steps - 1 - i
        at = t * SAVED
        projected, mean, rstd, h, a, z, rest, c = saved[at : at + SAVED]
        dh = grad[:, t]
        if directions == 2:
            dh = torch.cat([dh[:, :hidden], grad[:, i, hidden:]])
        if carry is not None:
            dh = carry.add_(dh) if i else dh + carry
        dc = dh * rest
        if mask is not None:
            dc.mul_(mask)
        da = _through_activation(nonlinearity, dc, a)
        dz = _ops.sigmoid_backward.default((h - c) * dh, z)
        dg = dp = torch.cat([da, dz], 1)
        if projected is not None:
            dp, *of_affine = _ops.native_layer_norm_backward.default(
                dg, projected, (width,), mean, rstd, ln_weight, ln_bias,
                (True, needs[3], needs[4]),
            )  # fmt: skip
            affine.append(of_affine)
        dgates.append(dg)
        dprojected.append(dp)
        previous.append(h)
        if t > 0 or needs[2]:
            carry = torch.addmm(z.mul(dh), dp, u)
    du = None
    if needs[1]:
        du = torch.mm(_rows(dprojected).t(), _rows(previous))
    sums = [
        sum(x) if needed else None
        for x, needed in zip(zip(*affine) if affine else _NONE, needs[3:])
    ]
    # Last frame first; of the other direction, first frame first.
    frames = dgates[::-1]
    if directions == 2:
        frames = [
            ahead.chunk(2)[0] + back.chunk(2)[1]
            for ahead, back in zip(frames, dgates)
        ]
    return [torch.stack(frames, 1), du, carry, *sums]


_NONE = (), ()


def _rows(parts):
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _through_activation(name, grad, a):
    """Gradient of ``a``, given that of its activation."""
    if name == "relu":
        return _ops.threshold_backward.default(grad, a, 0)
    if name == "tanh":
        return _ops.tanh_backward.default(grad, torch.tanh(a))
    if name == "sin":
        return grad * torch.cos(a)
    return _ops.leaky_relu_backward.default(grad, a, LEAKY_SLOPE, False)
