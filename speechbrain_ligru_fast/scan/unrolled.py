"""The scan as plain torch code, where a custom operator can't follow.

An operator with a hand-written backward knows one kind of derivative: the
ordinary backward's. Under a transform of torch.func, or in forward mode, torch
would refuse it or take its derivative for 0. There the recurrence runs as
autograd sees any other loop: at the speed of SpeechBrain's layer, but right.
"""

import torch
from torch._C._functorch import TransformType, get_interpreter_stack
from torch.autograd import forward_ad

from speechbrain_ligru_fast.backends import reference
from speechbrain_ligru_fast.scan.lengths import bounded_frames

_TRANSFORMS = (TransformType.Grad, TransformType.Jvp)


def needed():
    """Whether derivatives are asked for other than by a plain backward.

    Returns
    -------
    bool
        True inside torch.func's grad, vjp, jvp and what is made of them, but
        not of vmap alone; and inside forward_ad.dual_level.

    Example
    -------
    >>> needed()
    False
    """
    if forward_ad._current_level >= 0:
        return True
    stack = get_interpreter_stack()
    return stack is not None and any(i.key() in _TRANSFORMS for i in stack)


def transformed():
    """Whether tensors may be more than they look, as under ``torch.func``.

    Returns
    -------
    bool
        True where ``needed`` is, and under vmap.

    Example
    -------
    >>> torch.func.vmap(lambda x: torch.full_like(x, transformed()))(
    ...     torch.zeros(2)
    ... )
    tensor([1., 1.])
    """
    return forward_ad._current_level >= 0 or get_interpreter_stack() is not None


# What a compiler traces under transforms, it guards by them itself. This is
# all that torch.compiler.assume_constant_result does, once it has imported
# torch._dynamo.
needed._dynamo_marked_constant = True


def scan(spec, w, u, h0, mask, lengths, ln_weight, ln_bias):
    """The output of a scan; arguments as ``ligru_scan`` checked them.

    Returns
    -------
    Tensor
        (B, T, D * H).

    Example
    -------
    >>> from speechbrain_ligru_fast.backends.spec import ScanSpec
    >>> w, u = torch.randn(4, 9, 12), torch.randn(12, 6)
    >>> scan(ScanSpec(), w, u, None, None, None, None, None).shape
    torch.Size([4, 9, 6])
    """
    device = w.device.type
    # As the operator does: operands in the autocast dtype, sums in float32.
    if device in ("cpu", "cuda") and torch.is_autocast_enabled(device):
        if w.dtype != torch.float64:
            w, u = w.float(), u.to(torch.get_autocast_dtype(device))
        with torch.autocast(device, enabled=False):
            return scan(spec, w, u, h0, mask, lengths, ln_weight, ln_bias)
    lengths = bounded_frames(lengths, w.size(1))
    return reference.scan_forward(
        spec, w, u, h0, mask, lengths, ln_weight, ln_bias, save=False
    )[0]
