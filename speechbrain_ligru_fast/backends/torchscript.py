"""The scan as two TorchScript loops, hidden state column-major.

Holding h as (H, R) makes U @ h the layout in which BLAS is fastest for few
rows. The contract of the two functions is in backends/reference.py.
"""

import warnings
from typing import List, Optional, Tuple

import torch
from torch import Tensor

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


# A compiled function reads no global, but a default.
def _script(function):
    """torch.jit.script; that it is deprecated is no advice to our users."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(function)


@_script
def _activation(name: str, a: Tensor, slope: float = LEAKY_SLOPE) -> Tensor:
    if name == "relu":
        return torch.relu(a)
    if name == "tanh":
        return torch.tanh(a)
    if name == "sin":
        return torch.sin(a)
    return torch.nn.functional.leaky_relu(a, slope)


@_script
def _activation_gradient(
    name: str, a: Tensor, slope: float = LEAKY_SLOPE
) -> Tensor:
    if name == "relu":
        return (a > 0).to(a.dtype)
    if name == "tanh":
        return torch.cosh(a).reciprocal().square()
    if name == "sin":
        return torch.cos(a)
    return (a > 0).to(a.dtype) * (1 - slope) + slope


@_script
def _forward_loop(
    w: Tensor,
    u: Tensor,
    h: Tensor,
    mask: Optional[Tensor],
    active: Optional[Tensor],
    nonlinearity: str,
    layernorm: bool,
    ln_weight: Optional[Tensor],
    ln_bias: Optional[Tensor],
    eps: float,
    save: bool,
) -> Tuple[List[Tensor], List[Tensor], List[Tensor], List[Tensor]]:
    """w (T, 2H, R), h (H, R), mask (H, R), active (T, 1, R)."""
    output: List[Tensor] = []
    gates: List[Tensor] = []
    normed: List[Tensor] = []
    rstd: List[Tensor] = []
    operand = u.to(h.dtype)
    for t in range(w.size(0)):
        hq = h.to(u.dtype).to(h.dtype)
        if layernorm:
            p = torch.mm(operand, hq)
            p = p - p.mean(0, keepdim=True)
            scale = torch.rsqrt(p.square().mean(0, keepdim=True) + eps)
            n = p * scale
            g = n
            if ln_weight is not None:
                g = g * ln_weight
            if ln_bias is not None:
                g = g + ln_bias
            g = g + w[t]
            if save:
                normed.append(n)
                rstd.append(scale)
        else:
            g = torch.addmm(w[t], operand, hq)
        a, z = g.chunk(2, 0)
        z = torch.sigmoid(z)
        c = _activation(nonlinearity, a)
        if mask is not None:
            c = c * mask
        # Not lerp: that makes a NaN of an infinite candidate.
        new = torch.addcmul((1 - z) * c, z, h)
        if active is not None:
            h = torch.where(active[t], new, h)
            # Not a product: what has overflowed would be NaN there.
            output.append(h.masked_fill(~active[t], 0.0))
        else:
            h = new
            output.append(h)
        if save:
            gates.append(torch.cat([a, z], 0))
    return output, gates, normed, rstd


@_script
def _backward_loop(
    dh_steps: Tensor,
    previous: Tensor,
    gates: Tensor,
    normed: Optional[Tensor],
    rstd: Optional[Tensor],
    u: Tensor,
    mask: Optional[Tensor],
    active: Optional[Tensor],
    nonlinearity: str,
    ln_weight: Optional[Tensor],
    needs_dh0: bool,
) -> Tuple[List[Tensor], List[Tensor], Tensor]:
    """All (T, channels, R); the lists run backwards in time."""
    carry = torch.zeros_like(dh_steps.sum(0))
    u_t = u.t().contiguous()
    dgates: List[Tensor] = []
    dprojected: List[Tensor] = []
    for i in range(dh_steps.size(0)):
        t = dh_steps.size(0) - 1 - i
        a, z = gates[t].chunk(2, 0)
        dh = dh_steps[t] + carry
        c = _activation(nonlinearity, a)
        da = dh * (1 - z) * _activation_gradient(nonlinearity, a)
        if mask is not None:
            c = c * mask
            da = da * mask
        dz = dh * (previous[t] - c) * z * (1 - z)
        dg = torch.cat([da, dz], 0)
        if active is not None:
            dg = torch.where(active[t], dg, torch.zeros_like(dg))
        dp = dg
        if normed is not None and rstd is not None:
            n = normed[t]
            dn = dg
            if ln_weight is not None:
                dn = dg * ln_weight
            dp = rstd[t] * (
                dn
                - dn.mean(0, keepdim=True)
                - n * (dn * n).mean(0, keepdim=True)
            )
            dprojected.append(dp)
        dgates.append(dg)
        if t > 0 or needs_dh0:
            new = torch.addmm(z * dh, u_t, dp)
            if active is not None:
                new = torch.where(active[t], new, carry)
            carry = new
    return dgates, dprojected, carry


def _columns(x):
    """(T, R, C) -> contiguous (T, C, R)."""
    return x.transpose(1, 2).contiguous()


def _optional(x, dtype, shape):
    return None if x is None else x.to(dtype).reshape(shape)


def _detached(*tensors):
    """A scripted loop keeps tensors for a backward that the operator has."""
    return [None if x is None else x.detach() for x in tensors]


def scan_forward(spec, w, u, h0, mask, lengths, ln_weight, ln_bias, save):
    """See backends/reference.py."""
    batch, steps, width = w.shape
    hidden, d = width // 2, spec.directions
    dtype = accumulate_dtype(w.dtype)
    if h0 is None:
        h0 = w.new_zeros(d * batch, hidden)
    w, u, h0, ln_weight, ln_bias = _detached(w, u, h0, ln_weight, ln_bias)
    lists = _forward_loop(
        _columns(to_scan_order(w.unsqueeze(0).to(dtype), d, lengths)),
        u,
        h0.to(dtype).t().contiguous(),
        None if mask is None else mask.to(dtype).t().contiguous(),
        None
        if lengths is None
        else active_steps(steps, d, lengths).transpose(1, 2),
        spec.nonlinearity,
        spec.layernorm,
        _optional(ln_weight, dtype, (-1, 1)),
        _optional(ln_bias, dtype, (-1, 1)),
        spec.eps,
        save,
    )

    def in_time_order(values, channels):
        if not values:
            return w.new_zeros(d, batch, 0, channels, dtype=dtype)
        stacked = torch.stack(values).transpose(1, 2)
        return from_scan_order(stacked, d, lengths).contiguous()

    output, gates, normed, rstd = lists
    result = join_directions(in_time_order(output, hidden)).to(w.dtype)
    empty = w.new_empty(0, dtype=dtype)
    if not save:
        return result, empty, empty.clone(), empty.clone()
    gates = in_time_order(gates, width)
    if not spec.layernorm:
        return result, gates, empty, empty.clone()
    return (
        result,
        gates,
        in_time_order(normed, width),
        in_time_order(rstd, 1).squeeze(3),
    )


def scan_backward(
    spec, grad, previous, gates, normed, rstd, u, mask, lengths, ln_weight,
    needs_dh0=True, apart=True,
):  # fmt: skip
    """See backends/reference.py."""
    d, batch, steps, width = gates.shape
    dtype = gates.dtype

    def steps_of(x):
        return _columns(to_scan_order(x.to(dtype), d, lengths))

    u, ln_weight = _detached(u, ln_weight)
    dgates, dprojected, carry = _backward_loop(
        steps_of(split_directions(grad, d)),
        steps_of(previous),
        steps_of(gates),
        steps_of(normed) if spec.layernorm else None,
        steps_of(rstd.unsqueeze(3)) if spec.layernorm else None,
        u.to(dtype),
        None if mask is None else mask.to(dtype).t().contiguous(),
        None
        if lengths is None
        else active_steps(steps, d, lengths).transpose(1, 2),
        spec.nonlinearity,
        _optional(ln_weight, dtype, (-1, 1)),
        needs_dh0,
    )

    def in_time_order(values):
        if not values:
            return grad.new_zeros(d, batch, 0, width, dtype=dtype)
        stacked = torch.stack(values[::-1]).transpose(1, 2)
        return from_scan_order(stacked, d, lengths).contiguous()

    dh0 = carry.t().contiguous()
    dgates = in_time_order(dgates)
    if spec.layernorm:
        return dgates, in_time_order(dprojected), dh0
    return dgates, dgates, dh0
