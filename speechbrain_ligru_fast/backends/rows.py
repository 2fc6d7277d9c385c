"""Rows and time order: how (batch, time) tensors map to a scan.

Row ``d * B + b`` is direction ``d`` of utterance ``b``. Direction 1 reads
time backwards from its utterance's own last frame.
"""

from typing import Optional

import torch
from torch import Tensor


def accumulate_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the state: float64 for float64, else float32."""
    if dtype == torch.float64:
        return torch.float64
    return torch.float32


def flip_frames(x: Tensor, lengths: Optional[Tensor]) -> Tensor:
    """Reverses time within each utterance; its own inverse.

    Arguments
    ---------
    x : Tensor
        (B, T, C).
    lengths : Tensor | None
        (B,) int64 frames; padding beyond them stays in place.

    Returns
    -------
    Tensor
        (B, T, C).

    Example
    -------
    >>> x = torch.arange(4.0).reshape(1, 4, 1)
    >>> flip_frames(x, torch.tensor([3])).flatten().tolist()
    [2.0, 1.0, 0.0, 3.0]
    """
    if lengths is None:
        return x.flip(1)
    t = torch.arange(x.size(1), device=x.device).unsqueeze(0)
    n = lengths.unsqueeze(1)
    index = torch.where(t < n, n - 1 - t, t)
    return x.gather(1, index.unsqueeze(2).expand_as(x))


def to_scan_order(x: Tensor, directions: int, lengths: Optional[Tensor]):
    """(D or 1, B, T, C) in time order -> (T, D * B, C) in scan order.

    A leading 1 with two directions means that both read the same data.
    """
    steps = x[0]
    if directions == 2:
        steps = torch.cat([steps, flip_frames(x[-1], lengths)])
    return steps.transpose(0, 1)


def from_scan_order(x: Tensor, directions: int, lengths: Optional[Tensor]):
    """(T, D * B, C) in scan order -> (D, B, T, C) in time order."""
    x = x.transpose(0, 1)
    if directions == 1:
        return x.unsqueeze(0)
    forward, backward = x.chunk(2)
    return torch.stack([forward, flip_frames(backward, lengths)])


def join_directions(x: Tensor) -> Tensor:
    """(D, B, T, H) -> (B, T, D * H), forward half first."""
    return x.permute(1, 2, 0, 3).flatten(2)


def split_directions(x: Tensor, directions: int) -> Tensor:
    """(B, T, D * H) -> (D, B, T, H), a view."""
    return x.unflatten(2, (directions, -1)).permute(2, 0, 1, 3)


def active_steps(steps: int, directions: int, lengths: Tensor) -> Tensor:
    """(T, D * B, 1) bool: whether a row still has a frame at a step."""
    t = torch.arange(steps, device=lengths.device)
    return (t.unsqueeze(1) < lengths.repeat(directions)).unsqueeze(2)


def previous_hidden(
    output: Tensor,
    h0: Optional[Tensor],
    directions: int,
    lengths: Optional[Tensor],
) -> Tensor:
    """The state each step started from, in time order.

    Arguments
    ---------
    output : Tensor
        (B, T, D * H), zero in the padding.
    h0 : Tensor | None
        (D * B, H); None means zeros.
    directions : int
        D.
    lengths : Tensor | None
        (B,) int64 frames.

    Returns
    -------
    Tensor
        (D, B, T, H). Its padding is finite but carries no meaning.
    """
    batch, steps, _ = output.shape
    h = split_directions(output, directions)
    previous = torch.empty(h.shape, dtype=h.dtype, device=h.device)
    if steps == 0:
        return previous
    previous[0, :, 1:] = h[0, :, :-1]
    first = (
        torch.zeros_like(h[:, :, 0]) if h0 is None else h0.view_as(h[:, :, 0])
    )
    previous[0, :, 0] = first[0]
    if directions == 2:
        previous[1, :, :-1] = h[1, :, 1:]
        if lengths is None:
            previous[1, :, -1] = first[1]
        else:
            previous[1, :, -1] = 0
            utterance = torch.arange(batch, device=output.device)
            previous[1, utterance, (lengths - 1).clamp(min=0)] = first[1].to(
                h.dtype
            )
    return previous


def size_class(rows: int) -> int:
    """The number of rows that kernels are planned and proven for.

    Batches of any size need few kernels so: two for each power of two.

    Example
    -------
    >>> [size_class(rows) for rows in (1, 9, 17, 40, 1000)]
    [8, 16, 24, 48, 1024]
    """
    size = 8
    while size < rows:
        # 8, 16, 24, 32, 48, 64, 96, 128, ...
        power = 1 << (size.bit_length() - 1)
        size += max(8, power // 2)
    return size
