"""SpeechBrain's convolution and pooling, kept dynamic under torch.compile.

Eager mode, torch.jit.script and torch.export run stock's code. A compiled
graph differs, because stock's would be compiled again for every length or
fail: inductor lays the convolutions of a CPU out channels-last and fixes
their sizes thereby, guards on the parity of the pooled length, and can't
order the symbolic strides of the transposed views that pooling saves
(pytorch issue 185510).
"""

from typing import List, Optional, Tuple

import torch
from speechbrain.nnet.pooling import Pooling1d, Pooling2d
from torch import Tensor, nn

NAMESPACE = "speechbrain_ligru_fast"


@torch.library.custom_op(f"{NAMESPACE}::conv2d", mutates_args=())
def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Optional[Tensor],
    stride: List[int],
    dilation: List[int],
    groups: int,
) -> Tensor:
    """torch's conv2d without padding, opaque to the compiler."""
    y = nn.functional.conv2d(x, weight, bias, stride, 0, dilation, groups)
    return y.contiguous()


@conv2d.register_fake
def _(x, weight, bias, stride, dilation, groups):
    size = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], weight.shape[2:], stride, dilation)
    ]
    return x.new_empty(x.size(0), weight.size(0), *size)


@torch.library.custom_op(f"{NAMESPACE}::conv2d_backward", mutates_args=())
def conv2d_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: List[int],
    dilation: List[int],
    groups: int,
    needs_dx: bool,
) -> Tuple[Tensor, Tensor, Tensor]:
    """Gradients of the input (empty unless needed), weight and bias."""
    dx, dweight, dbias = torch.ops.aten.convolution_backward(
        grad, x, weight, [weight.size(0)], stride, [0, 0], dilation, False,
        [0, 0], groups, [needs_dx, True, True],
    )  # fmt: skip
    dx = dx.contiguous() if needs_dx else x.new_empty(0)
    return dx, dweight.contiguous(), dbias


@conv2d_backward.register_fake
def _(grad, x, weight, stride, dilation, groups, needs_dx):
    return (
        x.new_empty(x.shape if needs_dx else (0,)),
        weight.new_empty(weight.shape),
        weight.new_empty(weight.size(0)),
    )


def _setup_context(ctx, inputs, output):
    x, weight, bias, *ctx.options = inputs
    ctx.save_for_backward(x, weight)
    ctx.has_bias = bias is not None


def _backward(ctx, grad):
    needs_dx = ctx.needs_input_grad[0]
    dx, dweight, dbias = conv2d_backward(
        grad, *ctx.saved_tensors, *ctx.options, needs_dx
    )
    return (
        dx if needs_dx else None, dweight, dbias if ctx.has_bias else None,
        None, None, None,
    )  # fmt: skip


conv2d.register_autograd(_backward, setup_context=_setup_context)


class DynamicConv2d(nn.Conv2d):
    """nn.Conv2d whose compiled graph serves every batch and length."""

    def forward(self, input: Tensor) -> Tensor:
        """Returns the convolved input."""
        if not torch.jit.is_scripting():
            if torch.compiler.is_dynamo_compiling():
                return self._compiled(input)
        return self._conv_forward(input, self.weight, self.bias)

    @torch.jit.unused
    def _compiled(self, input: Tensor) -> Tensor:
        tensors = [input, self.weight, self.bias]
        device = input.device.type
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            tensors = [t if t is None else t.to(dtype) for t in tensors]
        return conv2d(*tensors, self.stride, self.dilation, self.groups)


def _max_pool(x: Tensor, axis: int, size: int) -> Tensor:
    """Maximum of every ``size`` elements of an axis; a rest is dropped."""
    pooled = x.size(axis) // size
    # A slice would guard on whether there is a rest; a selection does not.
    whole = torch.arange(pooled * size, device=x.device)
    windows = x.index_select(axis, whole).unflatten(axis, (pooled, size))
    return windows.max(axis + 1).values


class DynamicPooling1d(Pooling1d):
    """Stock's max pooling of one axis, as CRDNN uses it."""

    def forward(self, x):
        """Returns the pooled input."""
        if not torch.jit.is_scripting():
            if torch.compiler.is_dynamo_compiling():
                size = self.pool_layer.kernel_size[1]
                return _max_pool(x, self.pool_axis, size)
        pooled = self.pool_layer(x.transpose(-1, self.pool_axis))
        return pooled.transpose(-1, self.pool_axis)


class DynamicPooling2d(Pooling2d):
    """Stock's max pooling of two axes, as CRDNN uses it."""

    def forward(self, x):
        """Returns the pooled input."""
        if not torch.jit.is_scripting():
            if torch.compiler.is_dynamo_compiling():
                for axis, size in zip(self.pool_axis, self.kernel_size):
                    x = _max_pool(x, axis, size)
                return x
        pooled = self.pool_layer(x.movedim(self.pool_axis, (-2, -1)))
        return pooled.movedim((-2, -1), self.pool_axis)


_DYNAMIC = {
    nn.Conv2d: DynamicConv2d,
    Pooling1d: DynamicPooling1d,
    Pooling2d: DynamicPooling2d,
}


def keep_dynamic(module: nn.Module):
    """Lets a stock CNN compile once for all batch sizes and lengths.

    Arguments
    ---------
    module : nn.Module
        Changed in place: its convolutions and max poolings stay the same
        objects with the same parameters, and only compile differently.

    Example
    -------
    >>> pooling = Pooling1d("max", 2, input_dims=4, pool_axis=2)
    >>> keep_dynamic(pooling)
    >>> torch.compile(pooling, backend="eager")(torch.ones(2, 5, 8, 3)).shape
    torch.Size([2, 5, 4, 3])
    """
    for part in module.modules():
        part.__class__ = _DYNAMIC.get(type(part), type(part))
