"""Batch norm over valid frames, which torch's own kernel sees alone.

Written as products with a mask it costs a dozen passes over memory, and as
many in the backward. On a CPU it is cheaper to put the valid frames side by
side, which may be done where nobody watches: how many they are depends on data.
"""

from typing import Optional, Tuple

import torch
from torch import Tensor

from speechbrain_ligru_fast.scan import unrolled


def masked_formula(
    x: Tensor,
    valid: Tensor,
    weight: Optional[Tensor],
    bias: Optional[Tensor],
    eps: float,
) -> Tuple[Tensor, Tensor, Tensor]:
    """The same in operations that everything can follow.

    Arguments
    ---------
    x : Tensor
        (B, T, C).
    valid : Tensor
        (B, T) bool.
    weight, bias : Tensor | None
        (C,).
    eps : float
        Added to the variance.

    Returns
    -------
    Tensor
        (B, T, C); padding is finite but carries no meaning.
    Tensor
        (C,) the mean.
    Tensor
        (C,) the biased variance.
    """
    dtype = x.dtype if x.dtype == torch.float64 else torch.float32
    flat = x.flatten(0, 1).to(dtype)
    keep = valid.flatten().unsqueeze(1)
    # Padding may hold NaN, which a product with 0 would keep.
    flat = torch.where(keep, flat, torch.zeros_like(flat))
    share = keep.to(dtype) / keep.sum().clamp(min=1)
    mean = (share * flat).sum(0)
    centred = torch.where(keep, flat - mean, torch.zeros_like(flat))
    var = (share * centred.square()).sum(0)
    scale = torch.rsqrt(var + eps)
    if weight is not None:
        scale = scale * weight
    out = centred * scale
    if bias is not None:
        out = out + bias
    return out.reshape(x.shape).to(x.dtype), mean, var


def repays(x, weight, bias):
    """Whether ``normalise`` may look at values and is the faster one.

    Example
    -------
    >>> repays(torch.ones(2, 3, 4), None, None)
    True
    """
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not unrolled.transformed()
        and torch._C._len_torch_dispatch_stack() == 0
        and x.device.type == "cpu"
        and type(x) is Tensor
        and all(p is None or p.dtype == _dtype(x) for p in (weight, bias))
    )


def _dtype(x):
    return x.dtype if x.dtype == torch.float64 else torch.float32


def normalise(
    x, valid, running_mean, running_var, weight, bias, momentum, eps, copies
):
    """As ``masked_batch_norm``; None where there are less than two frames.

    Returns
    -------
    Tensor | None
        (B, T, C), zeros in the padding.
    """
    count = int(valid.sum())
    if count < 2:
        return None
    index = None
    if count < valid.numel():
        index = valid.flatten().nonzero().squeeze(1)
    mean, var = (
        torch.empty(x.size(2), dtype=_dtype(x)).fill_(value) for value in (0, 1)
    )
    out = _Packed.apply(x, valid, index, weight, bias, eps, mean, var)
    with torch.no_grad():
        # torch's is that of ``count`` frames.
        n = copies * count
        ratio = (count - 1) / count * n / (n - 1)
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_((var * ratio).to(running_var.dtype), momentum)
    return out


def _pack(x, index):
    rows = x.flatten(0, 1)
    if index is not None:
        rows = rows.index_select(0, index)
    return rows.to(_dtype(x))


def _unpack(rows, index, like):
    if index is not None:
        whole = rows.new_zeros(like.size(0) * like.size(1), like.size(2))
        rows = whole.index_copy_(0, index, rows)
    return rows.view(like.shape).to(like.dtype)


class _Packed(torch.autograd.Function):
    """Batch norm of the frames at ``index``; fills in mean and variance."""

    @staticmethod
    def forward(ctx, x, valid, index, weight, bias, eps, mean, var):
        rows = _pack(x, index)
        # A momentum of 1 keeps nothing of what was there.
        out, *saved = torch.native_batch_norm(
            rows, weight, bias, mean, var, True, 1.0, eps
        )
        ctx.save_for_backward(x, valid, index, weight, bias, *saved)
        ctx.eps = eps
        return _unpack(out, index, x)

    @staticmethod
    def backward(ctx, grad):
        x, valid, index, weight, bias, *saved = ctx.saved_tensors
        needs = [ctx.needs_input_grad[i] for i in (0, 3, 4)]
        if torch.is_grad_enabled():
            # To be differentiated again.
            found = _formula_gradients(
                (x, weight, bias), needs, valid, ctx.eps, grad
            )
        else:
            dx, *found = torch.ops.aten.native_batch_norm_backward(
                _pack(grad, index), _pack(x, index), weight, None, None,
                *saved, True, ctx.eps, needs,
            )  # fmt: skip
            found = [None if dx is None else _unpack(dx, index, x), *found]
        dx, dweight, dbias = found
        return dx, None, None, dweight, dbias, None, None, None


def _formula_gradients(inputs, needs, valid, eps, grad):
    x, weight, bias = inputs
    out, _, _ = masked_formula(x, valid, weight, bias, eps)
    # Nothing comes from padding, whose results mean nothing.
    grad = torch.where(valid.unsqueeze(2), grad, torch.zeros_like(grad))
    asked = [x for x, needed in zip(inputs, needs) if needed]
    found = iter(torch.autograd.grad(out, asked, grad, create_graph=True))
    return [next(found) if needed else None for needed in needs]
