"""An utterance's frames beside the next one's, with no padding in between.

What is computed of each frame alone is computed of fewer frames so: on a CPU
less work, and batch norms need no mask. How many frames there are depends on
data, so this may be done only where nobody watches.
"""

import torch
from torch import Tensor

from speechbrain_ligru_fast.scan import unrolled
from speechbrain_ligru_fast.scan.lengths import valid_frames


def index_of(x, frames):
    """Where the valid frames are, if packing them repays.

    Arguments
    ---------
    x : Tensor
        (B, T, C).
    frames : Tensor
        (B,) int64 frames, up to T.

    Returns
    -------
    Tensor | None
        (N,) int64, of the rows of (B * T, C); None where values can't be
        looked at, where there is no padding, and of less than two frames,
        which batch norms have no variance of.

    Example
    -------
    >>> index_of(torch.rand(2, 3, 4), torch.tensor([1, 2]))
    tensor([0, 3, 4])
    """
    if not may_look(x):
        return None
    count = int(frames.sum())
    if count < 2 or count == x.size(0) * x.size(1):
        return None
    return valid_frames(frames, x.size(1)).flatten().nonzero().squeeze(1)


def may_look(x):
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not unrolled.transformed()
        and torch._C._len_torch_dispatch_stack() == 0
        and x.device.type == "cpu"
        and type(x) is Tensor
    )


def pack(x, index):
    """(B, T, C) -> (N, C), the frames at ``index_of``'s index.

    Example
    -------
    >>> x = torch.tensor([[1.0, 2.0, float("nan")]]).unsqueeze(2)
    >>> pack(x, torch.tensor([0, 1])).flatten()
    tensor([1., 2.])
    """
    return _Pack.apply(x, index)


def unpack(rows, index, batch, steps):
    """(N, C) -> (B, T, C), zeros in the padding.

    Example
    -------
    >>> rows = torch.tensor([[1.0], [2.0]])
    >>> unpack(rows, torch.tensor([0, 1]), 1, 3).flatten()
    tensor([1., 2., 0.])
    """
    return _Unpack.apply(rows, index, batch, steps)


class _Pack(torch.autograd.Function):
    """index_select, whose own gradient adds up frame after frame."""

    @staticmethod
    def forward(ctx, x, index):
        ctx.save_for_backward(index)
        ctx.shape = x.shape[:2]
        return x.flatten(0, 1).index_select(0, index)

    @staticmethod
    def backward(ctx, grad):
        (index,) = ctx.saved_tensors
        return unpack(grad, index, *ctx.shape), None


class _Unpack(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows, index, batch, steps):
        ctx.save_for_backward(index)
        out = rows.new_zeros(batch * steps, rows.size(1))
        return out.index_copy_(0, index, rows).unflatten(0, (batch, steps))

    @staticmethod
    def backward(ctx, grad):
        (index,) = ctx.saved_tensors
        return pack(grad, index), None, None, None
