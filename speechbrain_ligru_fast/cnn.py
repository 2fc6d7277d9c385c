"""SpeechBrain's convolution and pooling, kept dynamic under torch.compile.

Eager mode, torch.jit.script and torch.export run stock's code. Under
torch.compile the same kernels are called through opaque operators, because
inductor would compile stock's graph again for every length, or fail: it lays
the convolutions of a CPU out channels-last and fixes their sizes thereby,
guards on the parity of the pooled length, can't order the symbolic strides
of the transposed views that pooling saves (pytorch issue 185510), and, in
float64, writes beyond the end of transposed tiles of varying length.
"""

from types import FunctionType
from typing import List, Optional, Tuple

import torch
from speechbrain.nnet.CNN import Conv2d, get_padding_elem
from speechbrain.nnet.pooling import Pooling1d, Pooling2d
from torch import Tensor, nn

NAMESPACE = "speechbrain_ligru_fast"


@torch.library.custom_op(f"{NAMESPACE}::conv2d", mutates_args=())
def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Optional[Tensor],
    padding: List[int],
    stride: List[int],
    dilation: List[int],
    groups: int,
) -> Tensor:
    """Convolve (batch, time, frequency, channel) with reflected borders.

    `weight` is torch's (out, in / groups, frequency, time); `padding` is of
    the time, before and after, then of the frequency.
    """
    x = _reflect(x, padding)
    y = nn.functional.conv2d(x, weight, bias, stride, 0, dilation, groups)
    return y.transpose(1, 3).contiguous()


@conv2d.register_fake
def _(x, weight, bias, padding, stride, dilation, groups):
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
    needs_dx: bool,
) -> Tuple[Tensor, Tensor, Tensor]:
    """Gradients of the input (empty unless needed), weight and bias."""
    dx, dweight, dbias = torch.ops.aten.convolution_backward(
        grad.transpose(1, 3), _reflect(x, padding), weight, [weight.size(0)],
        stride, [0, 0], dilation, False, [0, 0], groups,
        [needs_dx, True, True],
    )  # fmt: skip
    if needs_dx:
        dx = torch.ops.aten.reflection_pad2d_backward(
            dx, x.transpose(1, 3), padding
        )
        dx = dx.transpose(1, 3).contiguous()
    else:
        dx = x.new_empty(0)
    return dx, dweight.contiguous(), dbias


@conv2d_backward.register_fake
def _(grad, x, weight, padding, stride, dilation, groups, needs_dx):
    return (
        x.new_empty(x.shape if needs_dx else (0,)),
        weight.new_empty(weight.shape),
        weight.new_empty(weight.size(0)),
    )


def _reflect(x: Tensor, padding: List[int]) -> Tensor:
    return nn.functional.pad(x.transpose(1, 3), padding, mode="reflect")


def _setup_conv2d(ctx, inputs, output):
    x, weight, bias, *ctx.options = inputs
    ctx.save_for_backward(x, weight)
    ctx.has_bias = bias is not None


def _conv2d_gradients(ctx, grad):
    needs_dx = ctx.needs_input_grad[0]
    dx, dweight, dbias = conv2d_backward(
        grad, *ctx.saved_tensors, *ctx.options, needs_dx
    )
    return (
        dx if needs_dx else None, dweight, dbias if ctx.has_bias else None,
        None, None, None, None,
    )  # fmt: skip


conv2d.register_autograd(_conv2d_gradients, setup_context=_setup_conv2d)


@torch.library.custom_op(f"{NAMESPACE}::max_pool", mutates_args=())
def max_pool(x: Tensor, axis: int, size: int) -> Tuple[Tensor, Tensor]:
    """Maxima of every ``size`` elements of an axis of a 4-D tensor.

    The second result is what the backward needs. A rest is dropped.
    """
    pooled, indices = nn.functional.max_pool2d(
        x.transpose(-1, axis), (1, size), return_indices=True
    )
    return pooled.transpose(-1, axis).contiguous(), indices.contiguous()


@max_pool.register_fake
def _(x, axis, size):
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
    return dx.transpose(-1, axis).contiguous()


@max_pool_backward.register_fake
def _(grad, indices, axis, length):
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


class DynamicConv2d(Conv2d):
    """Stock's "same" convolution of (batch, time[, frequency, channel])."""

    # TorchScript names what it compiles after __name__, and has a forward.
    stock_forward = FunctionType(
        Conv2d.forward.__code__, Conv2d.forward.__globals__, "stock_forward"
    )

    def forward(self, x):
        """Returns the convolved input."""
        if not torch.jit.is_scripting():
            if torch.compiler.is_dynamo_compiling():
                return self._compiled(x)
        return self.stock_forward(x)

    @torch.jit.unused
    def _compiled(self, x):
        conv = self.conv
        tensors = [x, conv.weight, conv.bias]
        if self.unsqueeze:
            tensors[0] = x.unsqueeze(-1)
        device = x.device.type
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            tensors = [t if t is None else t.to(dtype) for t in tensors]
        padding = [
            pad
            for axis in (-1, -2)
            for pad in get_padding_elem(
                self.in_channels,
                self.stride[axis],
                self.kernel_size[axis],
                self.dilation[axis],
            )
        ]
        return conv2d(
            *tensors, padding, self.stride, self.dilation, conv.groups
        )


class DynamicPooling1d(Pooling1d):
    """Stock's max pooling of one axis, as CRDNN uses it."""

    def forward(self, x):
        """Returns the pooled input."""
        if not torch.jit.is_scripting():
            if torch.compiler.is_dynamo_compiling():
                size = self.pool_layer.kernel_size[1]
                return max_pool(x, self.pool_axis, size)[0]
        pooled = self.pool_layer(x.transpose(-1, self.pool_axis))
        return pooled.transpose(-1, self.pool_axis)


class DynamicPooling2d(Pooling2d):
    """Stock's max pooling of two axes, as CRDNN uses it."""

    def forward(self, x):
        """Returns the pooled input."""
        if not torch.jit.is_scripting():
            if torch.compiler.is_dynamo_compiling():
                for axis, size in zip(self.pool_axis, self.kernel_size):
                    x = max_pool(x, axis, size)[0]
                return x
        pooled = self.pool_layer(x.movedim(self.pool_axis, (-2, -1)))
        return pooled.movedim((-2, -1), self.pool_axis)


_DYNAMIC = {
    Conv2d: DynamicConv2d,
    Pooling1d: DynamicPooling1d,
    Pooling2d: DynamicPooling2d,
}


def keep_dynamic(module: nn.Module):
    """Lets a stock CRDNN's CNN compile once for all batch sizes and lengths.

    Arguments
    ---------
    module : nn.Module
        Changed in place: its convolutions and max poolings stay the same
        objects with the same parameters, and only compile differently. They
        have the options that CRDNN gives them.

    Example
    -------
    >>> pooling = Pooling1d("max", 2, input_dims=4, pool_axis=2)
    >>> keep_dynamic(pooling)
    >>> torch.compile(pooling, backend="eager")(torch.ones(2, 5, 8, 3)).shape
    torch.Size([2, 5, 4, 3])
    """
    for part in module.modules():
        part.__class__ = _DYNAMIC.get(type(part), type(part))
