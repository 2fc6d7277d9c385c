"""One step of the recurrence, or a few, in plain torch: a decoder's use.

Calling a custom operator, its autograd and a backend, which packs weights,
costs more than the operations of a few steps. Autograd differentiates them.
"""

import torch
from torch.nn.functional import layer_norm, linear

from speechbrain_ligru_fast.backends.reference import activation

# Steps below which that is so on a CPU (benchmarks/results/few_steps.csv). On
# a GPU, where few steps were not measured, one step alone is few.
FEW = 4


def repays(w, u, lengths, *others):
    """Whether a scan is of few steps that plain torch computes as exactly.

    In 16 bits, of mixed types and under autocast it would not: backends keep
    states and sums in float32. A compiler has no call to save, and must not
    ask for a length that depends on data; what is traced must serve every
    length.
    """
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and w.size(1) < (FEW if w.device.type == "cpu" else 2)
        and w.numel() > 0
        and lengths is None
        and w.dtype == u.dtype
        and w.dtype in (torch.float32, torch.float64)
        and all(x is None or x.dtype == w.dtype for x in others)
        and w.device.type != "meta"
        and not torch.is_autocast_enabled(w.device.type)
    )


def scan(
    w, u, h0, mask, nonlinearity, directions, layernorm, ln_weight, ln_bias,
    eps,
):  # fmt: skip
    """The output of the steps; arguments as ``ligru_scan`` checked them.

    Returns
    -------
    Tensor
        (B, T, D * H).

    Example
    -------
    >>> w, u = torch.randn(4, 2, 12), torch.randn(12, 6)
    >>> scan(w, u, None, None, "relu", 2, False, None, None, 0.0).shape
    torch.Size([4, 2, 12])
    """
    frames = w.unbind(1)
    given = frames
    if directions == 2:
        given = map(torch.cat, zip(frames, reversed(frames)))
    if h0 is None:
        h0 = w.new_zeros(directions * w.size(0), u.size(1))
    h = h0.to(w.dtype)
    u_t = u.t()
    states = []
    for g in given:
        if layernorm:
            normed = linear(h, u)
            g = g + layer_norm(normed, [u.size(0)], ln_weight, ln_bias, eps)
        else:
            g = torch.addmm(g, h, u_t)
        a, z = g.chunk(2, 1)
        z = torch.sigmoid(z)
        candidate = activation(nonlinearity, a)
        if mask is not None:
            candidate = candidate * mask
        # Not lerp: that makes a NaN of an infinite candidate.
        h = torch.addcmul((1 - z) * candidate, z, h)
        states.append(h)
    if directions == 1:
        return torch.stack(states, 1)
    forward, backward = zip(*(h.chunk(2) for h in states))
    # Frame after frame, the directions side by side.
    pairs = [x for pair in zip(forward, reversed(backward)) for x in pair]
    return torch.cat(pairs, 1).view(w.size(0), len(frames), -1)
