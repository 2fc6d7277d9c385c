"""Normalisation of (B, T, C), padding left out.

The module that owns the parameters stays in the layer, under SpeechBrain's
name. Which modules can be computed faster than by calling them as SpeechBrain
does is asked here too.
"""

from typing import Optional

import torch
from torch import Tensor, nn

from speechbrain_ligru_fast.layers.wrapped import is_plain


def is_rowwise(norm):
    """Whether a module treats every frame alone, over its last dimension.

    Example
    -------
    >>> is_rowwise(nn.LayerNorm(4)), is_rowwise(nn.BatchNorm1d(4))
    (True, False)
    """
    return is_plain(norm, nn.LayerNorm) or is_plain(norm, nn.Identity)


def is_tracking(norm):
    """Whether a module is a batch norm that keeps running statistics.

    What normalises in another way, with a ``forward`` of its own or with
    hooks, must be called.

    Example
    -------
    >>> norm = nn.BatchNorm1d(4)
    >>> is_tracking(norm)
    True
    >>> norm.track_running_stats = False
    >>> is_tracking(norm)
    False
    """
    return (
        (is_plain(norm, nn.BatchNorm1d) or is_plain(norm, nn.SyncBatchNorm))
        and len(norm._backward_hooks) == 0
        and len(norm._backward_pre_hooks) == 0
        and norm.track_running_stats
        and norm.running_mean is not None
        and norm.running_var is not None
        and norm.num_batches_tracked is not None
    )


def is_of_one_dtype(norm):
    """Whether torch's kernels take a batch norm's parameters.

    FSDP2 casts these, and leaves the statistics as they are.

    Example
    -------
    >>> norm = nn.BatchNorm1d(4)
    >>> is_of_one_dtype(norm)
    True
    >>> norm.weight.data = norm.weight.data.bfloat16()
    >>> is_of_one_dtype(norm)
    False
    """
    return norm.weight is None or norm.weight.dtype == norm.running_mean.dtype


def count_batch(
    num_batches_tracked: Tensor, momentum: Optional[float]
) -> float:
    """Counts one more batch and returns its weight in the statistics.

    Example
    -------
    >>> count_batch(torch.tensor(3), 0.1), count_batch(torch.tensor(3), None)
    (0.1, 0.25)
    """
    num_batches_tracked.add_(1)
    if momentum is None:
        # torch's cumulative average, as update_bn asks for.
        return 1.0 / float(num_batches_tracked)
    return momentum


def masked_batch_norm(
    x: Tensor,
    valid: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Optional[Tensor],
    bias: Optional[Tensor],
    momentum: float,
    eps: float,
    copies: int,
) -> Tensor:
    """Training-mode batch norm over the valid frames only.

    In operations that everything can follow: compilers, transforms, GPUs.
    Where packed_frames.py may look at values it needs not be masked.

    Arguments
    ---------
    x : Tensor
        (B, T, C).
    valid : Tensor
        (B, T) bool.
    running_mean, running_var : Tensor
        (C,), updated in place.
    weight, bias : Tensor | None
        (C,).
    momentum : float
        Weight of the batch in the running statistics.
    eps : float
        Added to the variance.
    copies : int
        How often stock counts each frame (2 for a bidirectional layer); it
        enters the unbiased running variance alone.

    Returns
    -------
    Tensor
        (B, T, C); padding is finite but carries no meaning.
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
    out = out.reshape(x.shape).to(x.dtype)
    with torch.no_grad():
        n = copies * valid.sum().to(var.dtype)
        unbiased = var * n / (n - 1).clamp(min=1)
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    return out
