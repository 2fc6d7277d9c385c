"""A layer's projection of its input, all frames in one product."""

import torch
from torch.nn.modules import module as modules

from speechbrain_ligru_fast.layers.wrapped import is_plain
from speechbrain_ligru_fast.products import gemm
from speechbrain_ligru_fast.scan import unrolled

# What torch's call of any module asks for.
_HOOKS_OF_ALL = (
    "_global_forward_hooks",
    "_global_forward_pre_hooks",
    "_global_backward_hooks",
    "_global_backward_pre_hooks",
)


class _Linear(torch.autograd.Function):
    """x @ weight.t(), its products by the fastest route."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return _frames(x, weight.t())

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        # Of a gradient that is differentiated again autograd has to know.
        multiply = torch.mm if torch.is_grad_enabled() else gemm.product
        dx = dweight = None
        if ctx.needs_input_grad[0]:
            dx = _frames(grad, weight, multiply)
        if ctx.needs_input_grad[1]:
            dweight = multiply(grad.flatten(0, -2).t(), x.flatten(0, -2))
        return dx, dweight


def _frames(x, matrix, multiply=gemm.product):
    """A product with every frame, whatever the number of dimensions."""
    return multiply(x.flatten(0, -2), matrix).unflatten(0, x.shape[:-1])


def project(module, x, gates):
    """``module(x)``, by the fastest library that torch has.

    Arguments
    ---------
    module : torch.nn.Module
        What stands for W: nn.Linear, or what users put in its place.
    x : Tensor
        (B, T, F).
    gates : int
        2H.

    Returns
    -------
    Tensor
        (B, T, 2H).

    Example
    -------
    >>> module = torch.nn.Linear(3, 4, bias=False)
    >>> project(module, torch.ones(2, 5, 3), 4).shape
    torch.Size([2, 5, 4])
    """
    # Compilers have their own products, and what is traced goes elsewhere.
    if (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and gemm.repays(x.numel() * gates)
        and not unrolled.transformed()
        and only_multiplies(module)
        and gemm.ordinary(x, module.weight)
        and gemm.differs()
    ):
        return _Linear.apply(x, module.weight)
    return module(x)


def only_multiplies(module):
    """Whether calling a module does no more than multiply by its weight.

    Example
    -------
    >>> only_multiplies(torch.nn.Linear(3, 4, bias=False))
    True
    >>> only_multiplies(torch.nn.Linear(3, 4))
    False
    """
    return (
        is_plain(module, torch.nn.Linear)
        and module.bias is None
        and not module._backward_hooks
        and not module._backward_pre_hooks
        and not any_hooks_of_all()
    )


def any_hooks_of_all():
    """Whether torch calls hooks with every module.

    Example
    -------
    >>> any_hooks_of_all()
    False
    """
    return any(getattr(modules, hooks) for hooks in _HOOKS_OF_ALL)
