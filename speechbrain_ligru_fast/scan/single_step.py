"""One step of the recurrence in plain torch: a decoder's use.

For a single step there is no loop to speed up. Calling a custom operator,
its autograd and a backend then costs more than the step's few operations.
"""

import torch
from torch.nn.functional import layer_norm, linear

from speechbrain_ligru_fast.backends.reference import activation


def repays(w, u, lengths, *others):
    """Whether a scan is one step that plain torch computes as exactly.

    In 16 bits, of mixed types and under autocast it would not: backends keep
    states and sums in float32. A compiler has no call to save, and must not
    ask for a length that depends on data; what is traced must serve every
    length.
    """
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and w.size(1) == 1
        and lengths is None
        and w.dtype == u.dtype
        and w.dtype in (torch.float32, torch.float64)
        and all(x is None or x.dtype == w.dtype for x in others)
        and w.device.type != "meta"
        and not torch.is_autocast_enabled(w.device.type)
    )


def step(
    w, u, h0, mask, nonlinearity, directions, layernorm, ln_weight, ln_bias,
    eps,
):  # fmt: skip
    """The output of one step; arguments as ``ligru_scan`` checked them.

    Returns
    -------
    Tensor
        (B, 1, D * H).

    Example
    -------
    >>> w, u = torch.randn(4, 1, 12), torch.randn(12, 6)
    >>> step(w, u, None, None, "relu", 2, False, None, None, 0.0).shape
    torch.Size([4, 1, 12])
    """
    g = w.squeeze(1)
    if directions == 2:
        # Both read the only frame.
        g = torch.cat([g, g])
    if h0 is None:
        h0 = g.new_zeros(g.size(0), u.size(1))
    h0 = h0.to(w.dtype)
    if layernorm:
        normed = layer_norm(linear(h0, u), [u.size(0)], ln_weight, ln_bias, eps)
        g = g + normed
    else:
        g = torch.addmm(g, h0, u.t())
    a, z = g.chunk(2, 1)
    z = torch.sigmoid(z)
    candidate = activation(nonlinearity, a)
    if mask is not None:
        candidate = candidate * mask
    # Not lerp: that makes a NaN of an infinite candidate.
    new = torch.addcmul((1 - z) * candidate, z, h0)
    if directions == 2:
        new = torch.cat(new.chunk(2), 1)
    return new.unsqueeze(1)
