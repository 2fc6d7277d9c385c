"""Options of a scan and the checks of its arguments.

A *row* is one (direction, utterance) pair: with two directions, rows 0 to
B - 1 read time forwards and rows B to 2B - 1 read it backwards.
"""

from typing import List, NamedTuple, Optional

import torch
from torch import Tensor

NONLINEARITIES = ("relu", "tanh", "sin", "leaky_relu")
# Every backend, and on which types of device ``auto`` tries it, in this order;
# none named means all of them. A new backend is one line here and one module
# of its name in this folder: docs/guides/add_a_backend.md.
TRIED_ON = {
    "cuda": ("cuda",),
    "triton": ("cuda",),
    "numba": ("cpu", "cuda"),
    "torchscript": (),
    "reference": (),
}
BACKENDS = ("auto", *TRIED_ON)

# For torch.jit.script, which reads defaults but no global, and no ``in`` of
# a tuple that has a name.
_ALLOWED = ", ".join(NONLINEARITIES)

# torch.nn.LeakyReLU's default, which is what SpeechBrain's layers use.
LEAKY_SLOPE = 0.01


# A tuple: it is made, hashed and compared in every call.
class ScanSpec(NamedTuple):
    """What a scan computes, apart from its tensors.

    Arguments
    ---------
    nonlinearity : str
        Activation of the candidate: relu, tanh, sin or leaky_relu.
    directions : int
        1, or 2 for a bidirectional scan over shared weights.
    layernorm : bool
        True for SLiGRU: LayerNorm on the recurrent projection.
    eps : float
        LayerNorm's epsilon.
    """

    nonlinearity: str = "relu"
    directions: int = 1
    layernorm: bool = False
    eps: float = 1e-5


def check_nonlinearity(name: str, allowed: str = _ALLOWED):
    """Raises ValueError unless ``name`` is a known nonlinearity."""
    if name not in allowed.split(", "):
        raise ValueError(f"nonlinearity: got '{name}', allowed are {allowed}")


def check_backend_name(name):
    """Raises ValueError unless ``name`` is a known backend."""
    if name not in BACKENDS:
        raise ValueError(
            f"backend: got {name!r}, allowed are {', '.join(BACKENDS)}"
        )


# The checks below also run under torch.jit.script, hence the plain types.


def _expect_shape(name: str, got: List[int], want: List[int]):
    if got != want:
        raise ValueError(f"{name}: got shape {got}, expected {want}")


def _expect_like(name: str, tensor: Tensor, w: Tensor):
    if tensor.device != w.device:
        raise ValueError(
            f"{name}: got device {tensor.device}, expected that of w, "
            f"{w.device}"
        )
    if not tensor.is_floating_point():
        raise TypeError(
            f"{name}: got dtype {tensor.dtype}, expected a floating point type"
        )


def check_scan(
    w: Tensor,
    u: Tensor,
    h0: Optional[Tensor],
    mask: Optional[Tensor],
    lengths: Optional[Tensor],
    nonlinearity: str,
    directions: int,
    layernorm: bool,
    ln_weight: Optional[Tensor],
    ln_bias: Optional[Tensor],
):
    """Checks shapes, devices and dtypes of a scan's arguments.

    Raises
    ------
    ValueError
        For a wrong rank, shape, device or option.
    TypeError
        For a dtype that is not floating point (int64 for ``lengths``).
    """
    check_nonlinearity(nonlinearity)
    if directions != 1 and directions != 2:
        raise ValueError(f"directions: got {directions}, allowed are 1 and 2")
    if w.dim() != 3:
        raise ValueError(
            f"w: got {w.dim()} dimensions, expected 3 (batch, time, "
            "2 * hidden_size)"
        )
    if u.dim() != 2:
        raise ValueError(
            f"u: got {u.dim()} dimensions, expected 2 (2 * hidden_size, "
            "hidden_size)"
        )
    gates = w.size(2)
    hidden = gates // 2
    rows = directions * w.size(0)
    _expect_shape("u", list(u.shape), [2 * hidden, hidden])
    if gates != 2 * hidden:
        raise ValueError(f"w: got {gates} gates, expected an even number")
    _expect_like("w", w, w)
    _expect_like("u", u, w)
    if h0 is not None:
        _expect_shape("h0", list(h0.shape), [rows, hidden])
        _expect_like("h0", h0, w)
    if mask is not None:
        _expect_shape("mask", list(mask.shape), [rows, hidden])
        _expect_like("mask", mask, w)
    if lengths is not None:
        _expect_shape("lengths", list(lengths.shape), [w.size(0)])
        if lengths.device != w.device:
            raise ValueError(
                f"lengths: got device {lengths.device}, expected that of w, "
                f"{w.device}"
            )
        if lengths.dtype != torch.int64:
            raise TypeError(
                f"lengths: got dtype {lengths.dtype}, expected int64 (frames)"
            )
    if ln_weight is not None:
        if not layernorm:
            raise ValueError("ln_weight: given, but layernorm is False")
        _expect_shape("ln_weight", list(ln_weight.shape), [gates])
        _expect_like("ln_weight", ln_weight, w)
    if ln_bias is not None:
        if not layernorm:
            raise ValueError("ln_bias: given, but layernorm is False")
        _expect_shape("ln_bias", list(ln_bias.shape), [gates])
        _expect_like("ln_bias", ln_bias, w)
