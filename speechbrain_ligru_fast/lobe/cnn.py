"""Convolution and pooling as operators, kept dynamic under torch.compile.

Eager mode, torch.jit.script and torch.export run stock's code. Under
torch.compile the same kernels are called through opaque operators, because
inductor would compile stock's graph again for every length, or fail: it lays
the convolutions of a CPU out channels-last and fixes their sizes thereby,
guards on the parity of the pooled length, can't order the symbolic strides
of the transposed views that pooling saves (pytorch issue 185510), and, in
float64, writes beyond the end of transposed tiles of varying length.
"""

from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn

from speechbrain_ligru_fast.scan.registration import NAMESPACE, as_promised


def reflect_ends(x: Tensor, frames: Tensor, reach: int) -> Tensor:
    """Reflects each utterance at its own last frame, in place.

    Arguments
    ---------
    x : Tensor
        (B, C, F, T), of whose T the first and the last ``reach`` are the
        reflection of a whole batch.
    frames : Tensor
        (B,) frames, ``reach + 1`` or more.
    reach : int
        How many frames beyond its end an utterance shall be continued.

    Returns
    -------
    Tensor
        ``x``.

    Example
    -------
    >>> x = torch.tensor([1.0, 0.0, 1.0, 2.0, 9.0, 9.0]).view(1, 1, 1, 6)
    >>> reflect_ends(x, torch.tensor([3]), 1).flatten().tolist()
    [1.0, 0.0, 1.0, 2.0, 1.0, 9.0]
    """
    if reach > 0:
        utterance, end, i = _ends(x, frames, reach)
        x[utterance, :, :, end + i] = x[utterance, :, :, end - 2 - i]
    return x


def reflect_ends_backward(grad: Tensor, frames: Tensor, reach: int) -> None:
    """Changes the gradient of the result into that of the input."""
    if reach > 0:
        utterance, end, i = _ends(grad, frames, reach)
        tail = grad[utterance, :, :, end + i]
        grad[utterance, :, :, end + i] = 0.0
        grad[utterance, :, :, end - 2 - i] += tail


def _ends(
    x: Tensor, frames: Tensor, reach: int
) -> Tuple[Tensor, Tensor, Tensor]:
    utterance = torch.arange(x.size(0), device=x.device).unsqueeze(1)
    i = torch.arange(reach, device=x.device)
    return utterance, reach + frames.unsqueeze(1), i


@torch.library.custom_op(f"{NAMESPACE}::conv2d", mutates_args=())
def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Optional[Tensor],
    padding: List[int],
    stride: List[int],
    dilation: List[int],
    groups: int,
    frames: Optional[Tensor] = None,
) -> Tensor:
    """Convolve (batch, time, frequency, channel) with reflected borders.

    `weight` is torch's (out, in / groups, frequency, time); `padding` is of
    the time, before and after, then of the frequency. With `frames` each
    utterance is reflected at its own end.
    """
    x = _reflect(x, padding, frames)
    y = nn.functional.conv2d(x, weight, bias, stride, 0, dilation, groups)
    return as_promised(y.transpose(1, 3))[0]


@conv2d.register_fake
def _fake_conv2d(
    x, weight, bias, padding, stride, dilation, groups, frames=None
):
    pads = (sum(padding[2:]), sum(padding[:2]))
    frequency, time = (
        (size + pad - d * (k - 1) - 1) // s + 1
        for size, pad, k, s, d in zip(
            (x.size(2), x.size(1)), pads, weight.shape[2:], stride, dilation
        )
    )
    return x.new_empty(x.size(0), time, frequency, weight.size(0))


@torch.library.custom_op(f"{NAMESPACE}::conv2d_backward", mutates_args=())
def conv2d_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    padding: List[int],
    stride: List[int],
    dilation: List[int],
    groups: int,
    needs: List[bool],
    frames: Optional[Tensor] = None,
) -> Tuple[Tensor, Tensor, Tensor]:
    """Gradients of the input, weight and bias, empty unless needed."""
    dx, dweight, dbias = torch.ops.aten.convolution_backward(
        grad.transpose(1, 3), _reflect(x, padding, frames), weight,
        [weight.size(0)], stride, [0, 0], dilation, False, [0, 0], groups,
        needs,
    )  # fmt: skip
    if needs[0]:
        if frames is not None:
            reflect_ends_backward(dx, frames, padding[0])
        dx = torch.ops.aten.reflection_pad2d_backward(
            dx, x.transpose(1, 3), padding
        )
        dx = dx.transpose(1, 3)
    found = zip((dx, dweight, dbias), (x, weight, weight), needs)
    return as_promised(
        *(y if needed else like.new_empty(0) for y, like, needed in found)
    )


@conv2d_backward.register_fake
def _fake_conv2d_backward(
    grad, x, weight, padding, stride, dilation, groups, needs, frames=None
):  # fmt: skip
    shapes = (x.shape, weight.shape, weight.shape[:1])
    return tuple(
        like.new_empty(shape if needed else (0,))
        for like, shape, needed in zip((x, weight, weight), shapes, needs)
    )


def _reflect(x: Tensor, padding: List[int], frames: Optional[Tensor]) -> Tensor:
    x = nn.functional.pad(x.transpose(1, 3), padding, mode="reflect")
    return x if frames is None else reflect_ends(x, frames, padding[0])


def _setup_conv2d(ctx, inputs, output):
    x, weight, bias, *ctx.options, frames = inputs
    ctx.save_for_backward(x, weight, frames)


def _conv2d_gradients(ctx, grad):
    needs = list(ctx.needs_input_grad[:3])
    x, weight, frames = ctx.saved_tensors
    found = conv2d_backward(grad, x, weight, *ctx.options, needs, frames)
    found = (y if needed else None for y, needed in zip(found, needs))
    return (*found, None, None, None, None, None)


conv2d.register_autograd(_conv2d_gradients, setup_context=_setup_conv2d)


@torch.library.custom_op(f"{NAMESPACE}::max_pool", mutates_args=())
def max_pool(x: Tensor, axis: int, size: int) -> Tuple[Tensor, Tensor]:
    """Maxima of every ``size`` elements of an axis of a 4-D tensor.

    The second result is what the backward needs. A rest is dropped.
    """
    pooled, indices = nn.functional.max_pool2d(
        x.transpose(-1, axis), (1, size), return_indices=True
    )
    return as_promised(pooled.transpose(-1, axis), indices)


@max_pool.register_fake
def _fake_max_pool(x, axis, size):
    shape = list(x.shape)
    shape[axis] = shape[axis] // size
    pooled = x.new_empty(shape)
    shape[-1], shape[axis] = shape[axis], shape[-1]
    return pooled, x.new_empty(shape, dtype=torch.int64)


@torch.library.custom_op(f"{NAMESPACE}::max_pool_backward", mutates_args=())
def max_pool_backward(
    grad: Tensor, indices: Tensor, axis: int, length: int
) -> Tensor:
    """Gradient of an input whose axis had ``length`` elements."""
    grad = grad.transpose(-1, axis)
    dx = grad.new_zeros([*grad.shape[:-1], length])
    dx.flatten(-2).scatter_(-1, indices.flatten(-2), grad.flatten(-2))
    return as_promised(dx.transpose(-1, axis))[0]


@max_pool_backward.register_fake
def _fake_max_pool_backward(grad, indices, axis, length):
    shape = list(grad.shape)
    shape[axis] = length
    return grad.new_empty(shape)


def _setup_max_pool(ctx, inputs, output):
    x, axis, _ = inputs
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])
    ctx.axis, ctx.length = axis, x.size(axis)


def _max_pool_gradients(ctx, grad, _):
    (indices,) = ctx.saved_tensors
    return max_pool_backward(grad, indices, ctx.axis, ctx.length), None, None


max_pool.register_autograd(_max_pool_gradients, setup_context=_setup_max_pool)
