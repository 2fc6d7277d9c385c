"""Convolution without copies, and with pooling as operators for torch.compile.

Eager mode on a CPU convolves what lies channels-last as it lies. Elsewhere
eager mode, and torch.jit.script and torch.export, run stock's code. Under
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

from speechbrain_ligru_fast.layers.wrapped import is_plain
from speechbrain_ligru_fast.scan import unrolled
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


class _ReflectedEnds(torch.autograd.Function):
    """``reflect_ends`` of (B, C, T, F).

    Autograd would copy the gradient for each of its two steps.
    """

    @staticmethod
    def forward(ctx, x, frames, reach):
        ctx.save_for_backward(frames)
        ctx.reach = reach
        ctx.mark_dirty(x)
        reflect_ends(x.transpose(2, 3), frames, reach)
        return x

    @staticmethod
    def backward(ctx, grad):
        (frames,) = ctx.saved_tensors
        grad = grad.clone()
        reflect_ends_backward(grad.transpose(2, 3), frames, ctx.reach)
        return grad, None, None


def lies_well(x, conv):
    """Whether ``conv2d_as_it_lies`` may stand for a call of ``conv``.

    On a CPU, where that was measured, and where nothing is captured.
    """
    return (
        x.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and is_plain(conv, nn.Conv2d)
    )


def conv2d_as_it_lies(
    x: Tensor,
    conv: nn.Conv2d,
    padding: List[int],
    frames: Optional[Tensor] = None,
) -> Tensor:
    """What ``conv2d`` computes, with no copy of x in another order.

    (batch, time, frequency, channel) is what torch calls channels-last of
    (batch, channel, time, frequency). A CPU's libraries convolve it as fast,
    and it need not be transposed for the layers around it, forward and back.

    Arguments
    ---------
    x : Tensor
        (B, T, F, C).
    conv : torch.nn.Conv2d
        Its weight is (out, in / groups, frequency, time), as stock's is.
    padding : list of int
        Of the time, before and after, then of the frequency.
    frames : Tensor | None
        (B,) frames, at whose end each utterance is reflected.

    Returns
    -------
    Tensor
        (B, T', F', out).

    Example
    -------
    >>> conv = nn.Conv2d(1, 4, (3, 5))
    >>> x = torch.ones(2, 9, 8, 1)
    >>> conv2d_as_it_lies(x, conv, [2, 2, 1, 1]).shape
    torch.Size([2, 9, 8, 4])
    """
    x = x.permute(0, 3, 1, 2)
    x = nn.functional.pad(x, [*padding[2:], *padding[:2]], mode="reflect")
    if frames is not None and unrolled.transformed():
        reflect_ends(x.transpose(2, 3), frames, padding[0])
    elif frames is not None and padding[0] > 0:
        x = _ReflectedEnds.apply(x, frames, padding[0])
    # Told by the weight, too: of one channel x may lie in either order.
    weight = conv.weight.transpose(2, 3)
    weight = weight.contiguous(memory_format=torch.channels_last)
    y = nn.functional.conv2d(
        x, weight, conv.bias, conv.stride[::-1], 0, conv.dilation[::-1],
        conv.groups,
    )  # fmt: skip
    return y.permute(0, 2, 3, 1)


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
    # Else autograd makes zeros of the indices' size in the backward.
    ctx.set_materialize_grads(False)
    ctx.axis, ctx.length = axis, x.size(axis)


def _max_pool_gradients(ctx, grad, _):
    if grad is None:
        return None, None, None
    (indices,) = ctx.saved_tensors
    return max_pool_backward(grad, indices, ctx.axis, ctx.length), None, None


max_pool.register_autograd(_max_pool_gradients, setup_context=_setup_max_pool)
