"""A padded batch as groups of like lengths, for parts that know lengths.

What such a part makes of an utterance does not depend on what surrounds it,
nor on how long the others are: cut to their own longest, groups have less
padding than all of them together.
"""

import torch
from torch import nn

from speechbrain_ligru_fast.layers.packed_frames import may_look
from speechbrain_ligru_fast.layers.projection import any_hooks_of_all

# Utterances of a group: fewer, and the calls cost what the padding did.
SIZE = 4
# Of a batch's frames; what the last copy must be worth.
SAVED = 0.1


def groups_of(part, x, frames):
    """Which utterances to take together, if that repays.

    Arguments
    ---------
    part : torch.nn.Module
        What shall compute them.
    x : Tensor
        (B, T, ...).
    frames : Tensor
        (B,) int64 frames.

    Returns
    -------
    list of Tensor | None
        Indices of utterances, the longest first. None where lengths can't be
        looked at, as under torch.compile; where they are alike; where somebody
        would notice: a batch norm or a hook.

    Example
    -------
    >>> x, frames = torch.ones(5, 9, 2), torch.tensor([3, 9, 2, 8, 1])
    >>> groups_of(nn.ReLU(), x, frames)
    [tensor([1, 3, 0, 2]), tensor([4])]
    """
    # First: what is captured is guarded by all that was asked.
    if not may_look(x) or x.size(0) <= SIZE or any_hooks_of_all():
        return None
    if any(_notices(module) for module in part.modules()):
        return None
    order = frames.argsort(descending=True, stable=True)
    groups = list(order.split(SIZE))
    kept = sum(len(group) * int(frames[group[0]]) for group in groups)
    if kept > (1 - SAVED) * x.size(0) * x.size(1):
        return None
    return groups


def compute(part, x, frames, groups, steps):
    """What ``part(x, frames)`` is, group by group.

    Arguments
    ---------
    part : callable
        Of (B, T, ...) and (B,) frames; it makes (B, T', ...).
    x : Tensor
        (B, T, ...).
    frames : Tensor
        (B,) int64 frames.
    groups : list of Tensor
        As ``groups_of`` made them.
    steps : int | Tensor
        T'.

    Returns
    -------
    Tensor
        (B, T', ...), zeros beyond what was computed.

    Example
    -------
    >>> x, frames = torch.ones(2, 3, 1), torch.tensor([1, 3])
    >>> groups = [torch.tensor([1]), torch.tensor([0])]
    >>> compute(lambda x, frames: 2 * x, x, frames, groups, 3).squeeze(2)
    tensor([[2., 0., 0.],
            [2., 2., 2.]])
    """
    found = []
    for group in groups:
        longest = int(frames[group[0]])
        found.append(part(x[group, :longest], frames[group]))
    found = [
        nn.functional.pad(
            y, [0, 0] * (y.dim() - 2) + [0, int(steps) - y.size(1)]
        )
        for y in found
    ]
    back = torch.cat(groups).argsort()
    return torch.cat(found).index_select(0, back)


def _notices(module):
    """Whether a module looks at a batch as a whole, or its user may."""
    return bool(
        isinstance(module, nn.modules.batchnorm._BatchNorm)
        or module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )
