"""The scan in plain torch, with hand-written backpropagation through time.

This is the product's own truth: it runs on every device and dtype, and every
other backend is tested against it. Equations: arXiv 1803.10225, eq. 9-12
(LiGRU), and arXiv 2302.10144, eq. 5-6 (SLiGRU's recurrent LayerNorm).

Shapes: B utterances, D directions, R = D * B rows, T steps, H hidden units.
"""

import torch

from speechbrain_ligru_fast.backends.rows import (
    accumulate_dtype,
    active_steps,
    from_scan_order,
    join_directions,
    split_directions,
    to_scan_order,
)
from speechbrain_ligru_fast.backends.spec import LEAKY_SLOPE


def unavailable(device_type, dtype, spec):
    """None: plain torch runs everywhere."""
    return None


def activation(name, a):
    """The candidate's activation, elementwise."""
    if name == "relu":
        return torch.relu(a)
    if name == "tanh":
        return torch.tanh(a)
    if name == "sin":
        return torch.sin(a)
    return torch.nn.functional.leaky_relu(a, LEAKY_SLOPE)


def activation_gradient(name, a):
    """Derivative of the activation at ``a``, elementwise."""
    if name == "relu":
        return (a > 0).to(a.dtype)
    if name == "tanh":
        # 1 - tanh(a) ** 2 cancels away from 0.
        return torch.cosh(a).reciprocal().square()
    if name == "sin":
        return torch.cos(a)
    return (a > 0).to(a.dtype) * (1 - LEAKY_SLOPE) + LEAKY_SLOPE


def scan_forward(spec, w, u, h0, mask, lengths, ln_weight, ln_bias, save):
    """Runs the recurrence over all steps.

    Arguments
    ---------
    spec : ScanSpec
        Options.
    w : Tensor
        (B, T, 2H) normalised input projection, candidate half first.
    u : Tensor
        (2H, H) recurrent weights; their dtype is the operands' precision.
    h0 : Tensor | None
        (R, H) initial state, None for zeros.
    mask : Tensor | None
        (R, H) recurrent dropout mask.
    lengths : Tensor | None
        (B,) int64 frames of each utterance.
    ln_weight : Tensor | None
        (2H,) SLiGRU's LayerNorm weight.
    ln_bias : Tensor | None
        (2H,) SLiGRU's LayerNorm bias.
    save : bool
        Whether to keep what ``scan_backward`` needs.

    Returns
    -------
    output : Tensor
        (B, T, D * H) of w's dtype, zero in the padding.
    gates : Tensor
        (D, B, T, 2H) candidate pre-activation and sigmoid of the update
        gate; empty unless ``save``.
    normed : Tensor
        (D, B, T, 2H) normalised recurrent projection of SLiGRU, else empty.
    rstd : Tensor
        (D, B, T) its reciprocal standard deviation, else empty.
    """
    batch, steps, width = w.shape
    hidden, d = width // 2, spec.directions
    dtype = accumulate_dtype(w.dtype)
    rows = d * batch
    w_steps = to_scan_order(w.unsqueeze(0).to(dtype), d, lengths)
    active = None if lengths is None else active_steps(steps, d, lengths)
    h = w.new_zeros(rows, hidden, dtype=dtype) if h0 is None else h0.to(dtype)
    m = None if mask is None else mask.to(dtype)
    u_t = u.to(dtype).t()
    output, gates, normed, rstd = [], [], [], []
    for t in range(steps):
        # The product's operand has the precision of u, its sum does not.
        projected = h.to(u.dtype).to(dtype) @ u_t
        if spec.layernorm:
            centred = projected - projected.mean(1, keepdim=True)
            scale = torch.rsqrt(
                centred.square().mean(1, keepdim=True) + spec.eps
            )
            n = centred * scale
            projected = n
            if ln_weight is not None:
                projected = projected * ln_weight.to(dtype)
            if ln_bias is not None:
                projected = projected + ln_bias.to(dtype)
            normed.append(n)
            rstd.append(scale)
        a, z = (w_steps[t] + projected).chunk(2, 1)
        z = torch.sigmoid(z)
        candidate = activation(spec.nonlinearity, a)
        if m is not None:
            candidate = candidate * m
        new = z * h + (1 - z) * candidate
        h = new if active is None else torch.where(active[t], new, h)
        # Not a product: what has overflowed would be NaN in the padding.
        output.append(h if active is None else torch.where(active[t], h, 0.0))
        gates.append(torch.cat([a, z], 1))

    def in_time_order(values, channels):
        if not values:
            return w.new_zeros(d, batch, 0, channels, dtype=dtype)
        return from_scan_order(torch.stack(values), d, lengths).contiguous()

    result = join_directions(in_time_order(output, hidden)).to(w.dtype)
    empty = w.new_empty(0, dtype=dtype)
    if not save:
        return result, empty, empty.clone(), empty.clone()
    saved_gates = in_time_order(gates, width)
    if not spec.layernorm:
        return result, saved_gates, empty, empty.clone()
    return (
        result,
        saved_gates,
        in_time_order(normed, width),
        in_time_order(rstd, 1).squeeze(3),
    )


def scan_backward(
    spec, grad, previous, gates, normed, rstd, u, mask, lengths, ln_weight,
    needs_dh0=True, apart=True,
):  # fmt: skip
    """Backpropagation through time down to the gates.

    Arguments
    ---------
    spec : ScanSpec
        Options.
    grad : Tensor
        (B, T, D * H) gradient of the output.
    previous : Tensor
        (D, B, T, H) the state each step started from.
    gates, normed, rstd : Tensor
        What ``scan_forward`` saved.
    u, mask, lengths, ln_weight : Tensor
        As in ``scan_forward``.
    needs_dh0 : bool
        Whether the caller reads dh0. If not, the first step's product is not
        needed, and what is returned for dh0 means nothing.
    apart : bool
        Whether the caller reads the two directions' dgates apart. If not, a
        backend may return their sum: (1, B, T, 2H).

    Returns
    -------
    dgates : Tensor
        (D, B, T, 2H) gradient of w plus recurrent projection; zero in the
        padding.
    dprojected : Tensor
        (D, B, T, 2H) gradient of U h: the same tensor without LayerNorm.
    dh0 : Tensor
        (R, H).
    """
    d, batch, steps, width = gates.shape
    dtype = gates.dtype

    def in_scan_order(x):
        return to_scan_order(x.to(dtype), d, lengths)

    dh_steps = in_scan_order(split_directions(grad, d))
    previous_steps = in_scan_order(previous)
    gate_steps = in_scan_order(gates)
    if spec.layernorm:
        normed_steps = in_scan_order(normed)
        rstd_steps = in_scan_order(rstd.unsqueeze(3))
    active = None if lengths is None else active_steps(steps, d, lengths)
    carry = grad.new_zeros(d * batch, width // 2, dtype=dtype)
    u = u.to(dtype)
    dgates, dprojected = [], []
    for t in range(steps - 1, -1, -1):
        a, z = gate_steps[t].chunk(2, 1)
        dh = dh_steps[t] + carry
        candidate = activation(spec.nonlinearity, a)
        slope = activation_gradient(spec.nonlinearity, a)
        if mask is not None:
            candidate = candidate * mask.to(dtype)
            slope = slope * mask.to(dtype)
        da = dh * (1 - z) * slope
        dz = dh * (previous_steps[t] - candidate) * z * (1 - z)
        dg = torch.cat([da, dz], 1)
        if active is not None:
            dg = torch.where(active[t], dg, 0.0)
        dp = dg
        if spec.layernorm:
            n = normed_steps[t]
            dn = dg if ln_weight is None else dg * ln_weight.to(dtype)
            dp = rstd_steps[t] * (
                dn
                - dn.mean(1, keepdim=True)
                - n * (dn * n).mean(1, keepdim=True)
            )
        dgates.append(dg)
        dprojected.append(dp)
        if t == 0 and not needs_dh0:
            break
        new = z * dh + dp @ u
        carry = new if active is None else torch.where(active[t], new, carry)

    def in_time_order(values):
        if not values:
            return grad.new_zeros(d, batch, 0, width, dtype=dtype)
        values.reverse()
        return from_scan_order(torch.stack(values), d, lengths).contiguous()

    dgates = in_time_order(dgates)
    if spec.layernorm:
        return dgates, in_time_order(dprojected), carry
    return dgates, dgates, carry
