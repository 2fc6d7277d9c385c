"""Lengths of utterances: checked, and counted in frames.

A check reads values. On a CPU in eager mode that is free; on a GPU it would
wait for the device, and a compiled graph can't. There
``torch._assert_async`` tells, which a GPU runs when it gets there. torch.jit
drops calls that have no result: for it the assertion is in an operator.
"""

from typing import List, Optional

import torch
from torch import Tensor

from speechbrain_ligru_fast.scan.registration import NAMESPACE, custom_op


def _expect(valid: Tensor, lengths: Tensor, expected: str):
    """Raises, or has the device tell, unless all of ``valid`` is true."""
    if lengths.device.type != "cpu" or torch.compiler.is_compiling():
        torch._assert_async(valid.all(), f"lengths: expected {expected}")
    elif not bool(valid.all()):
        raise ValueError(
            f"lengths: got {lengths.tolist()}, expected {expected}"
        )


def _relative_frames(lengths: Tensor, steps: int) -> Tensor:
    _expect(
        (lengths > 0) & (lengths <= 1), lengths, "relative lengths in (0, 1]"
    )
    if lengths.dtype != torch.float64:
        # 16 bits don't count 1001 frames.
        lengths = lengths.float()
    frames = torch.round(lengths * steps)
    return frames.clamp(1, max(steps, 1)).to(torch.int64)


@custom_op(f"{NAMESPACE}::relative_frames")
def relative_frames(lengths: Tensor, steps: int) -> Tensor:
    """Relative lengths -> int64 frames, for torch.jit."""
    return _relative_frames(lengths, steps)


@torch.library.register_fake(relative_frames)
def _(lengths, steps):
    return lengths.new_empty(lengths.shape, dtype=torch.int64)


def count_frames(lengths: Tensor, x: Tensor) -> Tensor:
    """Relative lengths -> frames, at least one.

    Arguments
    ---------
    lengths : Tensor
        (B,) in (0, 1].
    x : Tensor
        (B, T, ...), what they are lengths of.

    Returns
    -------
    Tensor
        (B,) int64, on the device of ``x``.

    Raises
    ------
    ValueError
        For a wrong shape, and on a CPU for lengths outside (0, 1]. On a GPU
        these fail an assertion of the device, whose message says so.
    TypeError
        For lengths that are no tensor.

    Example
    -------
    >>> count_frames(torch.tensor([1.0, 0.5, 0.1]), torch.rand(3, 4, 2))
    tensor([4, 2, 1])
    """
    if not torch.jit.is_scripting():
        if not isinstance(lengths, Tensor):
            raise TypeError(
                f"lengths: got {type(lengths).__name__}, expected a tensor"
            )
    if list(lengths.shape) != [x.size(0)]:
        raise ValueError(
            f"lengths: got shape {list(lengths.shape)}, expected "
            f"[{x.size(0)}] (batch)"
        )
    if torch.jit.is_scripting():
        # So that the error is a torch.jit.Error.
        if lengths.device.type == "cpu":
            if not bool(((lengths > 0) & (lengths <= 1)).all()):
                values: List[float] = lengths.double().tolist()
                raise ValueError(
                    f"lengths: got {values}, expected relative lengths in "
                    "(0, 1]"
                )
    elif not torch.jit.is_tracing():
        return _relative_frames(lengths, x.size(1)).to(x.device)
    frames = torch.ops.speechbrain_ligru_fast.relative_frames(
        lengths, x.size(1)
    )
    return frames.to(x.device)


def bounded_frames(lengths: Optional[Tensor], steps: int):
    """Frames that no backend can read or write out of bounds with.

    Arguments
    ---------
    lengths : Tensor | None
        (B,) int64.
    steps : int
        T.

    Returns
    -------
    Tensor | None
        Within 0 and ``steps``.

    Raises
    ------
    ValueError
        For other lengths on a CPU. On a GPU these fail an assertion of the
        device; they are clamped, too, where it was built without assertions.

    Example
    -------
    >>> bounded_frames(torch.tensor([3, 0]), 3)
    tensor([3, 0])
    """
    if lengths is None:
        return None
    bounded = lengths.clamp(0, steps)
    _expect(bounded == lengths, lengths, f"frames from 0 to {steps}")
    return bounded


def valid_frames(lengths: Tensor, steps: int) -> Tensor:
    """(B,) frames -> (B, T) bool, True where a frame is not padding."""
    t = torch.arange(steps, device=lengths.device)
    return t.unsqueeze(0) < lengths.unsqueeze(1)


def to_relative(frames: Tensor, steps: int) -> Tensor:
    """Frames -> relative lengths, of which every layer reads the same frames.

    SpeechBrain's layers round them in different ways: what becomes a number
    of frames by rounding or by truncation becomes ``frames``.

    Example
    -------
    >>> lengths = to_relative(torch.tensor([29, 100]), 100)
    >>> (100 * lengths).int().tolist(), int(100 * 0.29)
    ([29, 100], 28)
    """
    return ((frames + 0.25) / steps).clamp(max=1.0)


def continue_frames(x: Tensor, frames: Tensor, steps: int) -> Tensor:
    """Puts each utterance's reflection, back and forth, in its padding.

    Arguments
    ---------
    x : Tensor
        (B, T, ...).
    frames : Tensor
        (B,) int64 frames.
    steps : int
        How many frames there shall be at least.

    Returns
    -------
    Tensor
        (B, max(T, steps), ...). What was in the padding is not read.

    Example
    -------
    >>> x = torch.tensor([[1.0, 2.0, 3.0], [1.0, 9.0, 9.0]]).unsqueeze(2)
    >>> continue_frames(x, torch.tensor([3, 1]), 4).squeeze(2)
    tensor([[1., 2., 3., 2.],
            [1., 1., 1., 1.]])
    """
    if x.size(1) >= steps:
        steps = x.size(1)
    t = torch.arange(steps, device=x.device).unsqueeze(0)
    period = 2 * (frames - 1).unsqueeze(1)
    t = t % period.clamp(min=1)
    index = torch.minimum(t, period - t)
    flat = x.flatten(2)
    index = index.unsqueeze(2).expand(-1, -1, flat.size(2))
    return flat.gather(1, index).unflatten(2, x.shape[2:])
