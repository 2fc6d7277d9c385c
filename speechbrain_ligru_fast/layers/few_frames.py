"""Layers of a few frames on a CPU, a call for each: a decoder's use.

Calling modules, checking what they give to each other, and autograd's nodes
would take longer than the products of a few frames.
"""

import torch
from torch import nn

from speechbrain_ligru_fast.layers import few_frames_gradient
from speechbrain_ligru_fast.layers.batch_norm import count_batch
from speechbrain_ligru_fast.layers.one_layer import LightGRULayer
from speechbrain_ligru_fast.layers.projection import any_hooks_of_all
from speechbrain_ligru_fast.scan import few_steps, unrolled

_TYPES = (torch.Tensor, nn.Parameter)
_DTYPES = torch.float32, torch.float64
_NORMS = (nn.BatchNorm1d, nn.LayerNorm, nn.Identity)


def compute(model, x, hx):
    """What a LiGRU or SLiGRU returns, where that is as exact as its modules.

    Arguments
    ---------
    model : LiGRU | SLiGRU
        Whose parameters are used.
    x : Tensor
        (B, T, F).
    hx : Tensor | None
        (num_layers * D, B, H).

    Returns
    -------
    tuple | None
        Output (B, T, D * H) and hidden (num_layers * D, B, H).

    Example
    -------
    >>> from speechbrain_ligru_fast import LiGRU
    >>> x = torch.ones(2, 1, 3)
    >>> output, hidden = compute(LiGRU(4, x.shape), x, None)
    >>> output.shape, hidden.shape
    (torch.Size([2, 1, 4]), torch.Size([1, 2, 4]))
    """
    if (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or type(x) not in _TYPES
        or x.dim() != 3
        or x.numel() == 0
        or not x.is_cpu
        or x.dtype not in _DTYPES
        or torch._C._len_torch_dispatch_stack()
        or torch._C._len_torch_function_stack()
        or torch.is_autocast_enabled("cpu")
        or unrolled.transformed()
        or any_hooks_of_all()
    ):
        return None
    layers = [*model._modules["rnn"]._modules.values()]
    if not _few(x, layers[0].hidden_size, model.directions):
        return None
    directions, features = model.directions, x.size(2)
    if hx is None:
        states = [None] * len(layers)
    elif (
        type(hx) in _TYPES
        and hx.dim() == 3
        and hx.size(0) == len(layers) * directions
    ):
        states = [h.flatten(0, 1) for h in hx.split(directions)]
    else:
        return None
    given = []
    for layer, h in zip(layers, states):
        found = _operands(layer, x, features, h, directions)
        if found is None:
            return None
        given.append(found)
        features = directions * layer.hidden_size
    hidden = []
    for layer, found in zip(layers, given):
        x, last = _run(layer, x, *found)
        hidden.append(last)
    return x, hidden[0] if len(hidden) == 1 else torch.cat(hidden)


def _few(x, hidden, directions):
    """Whether these are so few frames that one call is faster than kernels.

    Kernels pack U, which a row or a few read too seldom to repay it.
    """
    batch, steps, _ = x.shape
    if batch > 16 or hidden > 512:
        return steps < few_steps.FEW
    if batch * directions == 1 and not torch.is_grad_enabled():
        return steps <= 20
    if batch <= 4:
        return steps <= (6 if torch.is_grad_enabled() else 8)
    return steps <= (4 if hidden > 128 else 6)


def _operands(layer, x, features, h, directions):
    """W, U, h; the norms' parameters; statistics; kind of norm; its eps."""
    parts = layer._modules
    w, u, norm = parts["w"], parts["u"], parts["norm"]
    recurrent = parts.get("layer_norm")
    kind = type(norm)
    if (
        layer.backend != "auto"
        or kind not in _NORMS
        or not _untouched(layer, LightGRULayer)
        or not _untouched(w, nn.Linear)
        or not _untouched(u, nn.Linear)
        or not _untouched(norm, kind)
        or recurrent is not None
        and not _untouched(recurrent, nn.LayerNorm)
        or w._parameters.get("bias") is not None
        or u._parameters.get("bias") is not None
    ):
        return None
    how, statistics, eps = "none", [], 0.0
    affine = [*_affine(norm), *_affine(recurrent)]
    if kind is nn.BatchNorm1d:
        buffers, eps = norm._buffers, norm.eps
        statistics = [buffers["running_mean"], buffers["running_var"]]
        how = "training" if norm.training else "running"
        if (
            not norm.track_running_stats
            or statistics[0] is None
            or statistics[1] is None
            or buffers["num_batches_tracked"] is None
            or norm.training
            and directions * x.size(0) * x.size(1) < 2
        ):
            return None
    elif kind is nn.LayerNorm:
        how, eps = "layer", norm.eps
    rows = directions * x.size(0)
    if h is None:
        # One row, which is every row's.
        h, rows = layer._buffers["h_init"], 1
    operands = [w._parameters["weight"], u._parameters["weight"], h]
    dtype, hidden = x.dtype, layer.hidden_size
    for tensor in (*operands, *affine, *statistics):
        if tensor is not None and (
            type(tensor) not in _TYPES
            or tensor.dtype != dtype
            or not tensor.is_cpu
        ):
            return None
    for tensor in (*affine, *statistics):
        if tensor is not None and tensor.numel() != 2 * hidden:
            return None
    if (
        operands[0].shape != (2 * hidden, features)
        or operands[1].shape != (2 * hidden, hidden)
        or h.shape != (rows, hidden)
    ):
        return None
    return operands, affine, statistics, how, eps


def _untouched(module, kind):
    """Whether calling a module does what its class says and nobody listens.

    A parametrisation changes the class.
    """
    return (
        type(module) is kind
        and not module._forward_hooks
        and not module._forward_pre_hooks
        and not module._backward_hooks
        and not module._backward_pre_hooks
        and "forward" not in module.__dict__
    )


def _affine(norm):
    if norm is None:
        return None, None
    parameters = norm._parameters
    return parameters.get("weight"), parameters.get("bias")


def _run(layer, x, operands, affine, statistics, how, norm_eps):
    """A layer's states of every frame, and the last."""
    mask, momentum = None, 0.0
    if how == "training":
        norm = layer.norm
        momentum = count_batch(norm.num_batches_tracked, norm.momentum)
    if layer.training and layer.dropout > 0.0:
        mask = layer._sample_mask(layer.directions * x.size(0), operands[2])
    options = (
        layer.nonlinearity, layer.directions, layer.stabilised, *affine[2:],
        layer.eps,
    )  # fmt: skip
    norm = how, *affine[:2], statistics, momentum, norm_eps
    if torch.is_grad_enabled():
        return few_frames_gradient.Layer.apply(
            x, *operands, *affine, mask, norm, options
        )
    return few_frames_gradient.forward(x, *operands, mask, norm, options, None)
