"""What a scan's forward saves, recomputed for its backward.

The state that every step started from is known once the output is. So the
gates of all steps follow from one GEMM and a little pointwise arithmetic,
with no loop over time, on every backend alike.
"""

import torch

from speechbrain_ligru_fast.backends.rows import accumulate_dtype
from speechbrain_ligru_fast.products.precision import mm


def _project(h, u, dtype, rounds):
    """(N, H), (2H, H) -> (N, 2H) with sums of ``dtype``.

    h is rounded to u's type where the forward ``rounds`` it.
    """
    if u.dtype == dtype or not rounds:
        return mm(h.to(dtype), u.to(dtype).t(), dtype)
    return mm(h.to(u.dtype), u.t(), dtype)


def saved_values(spec, w, previous, u, ln_weight, ln_bias, rounds=True):
    """What ``scan_forward`` returns after the output when it saves.

    Arguments
    ---------
    spec : ScanSpec
        Options.
    w : Tensor
        (B, T, 2H) input projection.
    previous : Tensor
        (D, B, T, H) the state each step started from, in w's precision: if
        that is below u's, or below float32 where the forward does not
        round, a gate carries one rounding of its operand more than in the
        forward.
    u : Tensor
        (2H, H) recurrent weights.
    ln_weight, ln_bias : Tensor | None
        (2H,) SLiGRU's LayerNorm.
    rounds : bool
        Whether the forward rounded the states to u's dtype.

    Returns
    -------
    gates : Tensor
        (D, B, T, 2H); meaningless but finite in the padding.
    normed : Tensor
        (D, B, T, 2H) with LayerNorm, else empty.
    rstd : Tensor
        (D, B, T) with LayerNorm, else empty.

    Example
    -------
    >>> from speechbrain_ligru_fast.backends.spec import ScanSpec
    >>> w, previous = torch.randn(4, 9, 6), torch.randn(1, 4, 9, 3)
    >>> u = torch.randn(6, 3)
    >>> gates, _, _ = saved_values(ScanSpec(), w, previous, u, None, None)
    >>> gates.shape
    torch.Size([1, 4, 9, 6])
    """
    dtype = accumulate_dtype(w.dtype)
    width = w.size(2)
    gates = _project(previous.flatten(0, 2), u, dtype, rounds)
    gates = gates.unflatten(0, previous.shape[:3])
    normed, rstd = gates.new_empty(0), gates.new_empty(0)
    if spec.layernorm:
        normed, _, rstd = torch.native_layer_norm(
            gates, (width,), None, None, spec.eps
        )
        rstd = rstd.squeeze(3)
        # The product is not needed any more: no third buffer.
        gates.copy_(normed)
        if ln_weight is not None:
            gates.mul_(ln_weight)
        if ln_bias is not None:
            gates.add_(ln_bias)
    gates.add_(w)
    gates[..., width // 2 :].sigmoid_()
    return gates, normed, rstd
