"""Batch normalisation that skips padding.

Scriptable functions over (B, T, C) tensors; the BatchNorm1d module that owns
the parameters stays in the layer, under SpeechBrain's name.
"""

import torch
from torch import Tensor


def valid_frames(frames: Tensor, steps: int) -> Tensor:
    """(B,) frames -> (B, T) bool, True where a frame is not padding."""
    t = torch.arange(steps, device=frames.device)
    return t.unsqueeze(0) < frames.unsqueeze(1)


def masked_batch_norm(
    x: Tensor,
    valid: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor,
    bias: Tensor,
    momentum: float,
    eps: float,
    copies: int,
) -> Tensor:
    """Training-mode batch norm over the valid frames only.

    Arguments
    ---------
    x : Tensor
        (B, T, C).
    valid : Tensor
        (B, T) bool.
    running_mean, running_var : Tensor
        (C,), updated in place.
    weight, bias : Tensor
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
    with torch.no_grad():
        n = copies * keep.sum().to(dtype)
        unbiased = var * n / (n - 1).clamp(min=1)
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    scale = torch.rsqrt(var + eps) * weight
    return (centred * scale + bias).reshape(x.shape).to(x.dtype)
