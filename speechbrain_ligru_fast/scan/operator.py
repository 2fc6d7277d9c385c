"""The one operator of this package, ``ligru_scan``.

Two custom operators are registered with torch: ``scan`` and
``scan_backward``. They carry schema, fake kernels, autograd and autocast, so
that eager mode, torch.jit.script, torch.compile and torch.export all see one
opaque call per layer instead of a loop over time.
"""

from typing import List, Optional, Tuple

import torch
from torch import Tensor

from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.backends.rows import (
    accumulate_dtype,
    previous_hidden,
)
from speechbrain_ligru_fast.backends.spec import ScanSpec, check_scan
from speechbrain_ligru_fast.products.precision import recurrent_weight_gradient
from speechbrain_ligru_fast.scan import few_steps, flops, unrolled
from speechbrain_ligru_fast.scan.lengths import bounded_frames
from speechbrain_ligru_fast.scan.recompute import saved_values
from speechbrain_ligru_fast.scan.registration import (
    NAMESPACE,
    as_promised,
    custom_op,
)

# Of both operators: see registration.py. ``ligru_scan`` has it, too.
VERSION = 2


def _precision(w: Tensor, u: Tensor) -> torch.dtype:
    """What a backend must be able to compute in.

    The operands' dtype, which is u's, but float64 for a float64 state.
    """
    return torch.float64 if w.dtype == torch.float64 else u.dtype


@custom_op(f"{NAMESPACE}::scan")
def scan(
    w: Tensor,
    u: Tensor,
    h0: Optional[Tensor],
    mask: Optional[Tensor],
    lengths: Optional[Tensor],
    ln_weight: Optional[Tensor],
    ln_bias: Optional[Tensor],
    nonlinearity: str,
    directions: int,
    layernorm: bool,
    eps: float,
    backend: str,
    save: bool,
    recompute: bool = False,
    version: int = 1,
) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Output and what the backward needs; see backends/reference.py.

    With ``recompute`` the backward needs w instead.
    """
    lengths = bounded_frames(lengths, w.size(1))
    spec = ScanSpec(nonlinearity, directions, layernorm, eps)
    found = backends.run(
        "scan_forward", backend, w.device.type, _precision(w, u), spec,
        w.size(1),
        w, u, h0, mask, lengths, ln_weight, ln_bias, save and not recompute,
    )  # fmt: skip
    return as_promised(*found)


@torch.library.register_fake(scan)
def _fake_scan(
    w, u, h0, mask, lengths, ln_weight, ln_bias,
    nonlinearity, directions, layernorm, eps, backend, save, recompute=False,
    version=1,
):  # fmt: skip
    batch, steps, width = w.shape
    dtype = accumulate_dtype(w.dtype)
    save = save and not recompute

    def saved(kept, *shape):
        return w.new_empty(shape if kept else (0,), dtype=dtype)

    return (
        w.new_empty(batch, steps, directions * (width // 2)),
        saved(save, directions, batch, steps, width),
        saved(save and layernorm, directions, batch, steps, width),
        saved(save and layernorm, directions, batch, steps),
    )


@custom_op(f"{NAMESPACE}::scan_backward")
def scan_backward(
    grad: Tensor,
    output: Tensor,
    gates: Tensor,
    normed: Tensor,
    rstd: Tensor,
    u: Tensor,
    h0: Optional[Tensor],
    mask: Optional[Tensor],
    lengths: Optional[Tensor],
    ln_weight: Optional[Tensor],
    needs: List[bool],
    nonlinearity: str,
    directions: int,
    layernorm: bool,
    eps: float,
    backend: str,
    w: Optional[Tensor] = None,
    ln_bias: Optional[Tensor] = None,
    version: int = 1,
) -> Tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of w, u, h0, ln_weight and ln_bias, empty unless needed.

    Given w, what the forward did not save is recomputed: here, where the
    gradient is an argument, so that no compiler moves it to the forward.
    """
    steps = grad.size(1)
    # The forward has checked them.
    lengths = None if lengths is None else lengths.clamp(0, steps)
    spec = ScanSpec(nonlinearity, directions, layernorm, eps)
    previous = previous_hidden(output, h0, directions, lengths)
    where = (
        backend, grad.device.type, _precision(grad, u), spec, steps,
    )  # fmt: skip
    if w is not None:
        rounds = backends.rounds_states(*where, grad)
        gates, normed, rstd = saved_values(
            spec, w, previous, u, ln_weight, ln_bias, rounds
        )
    needs_w, needs_u, needs_h0, needs_ln_weight, needs_ln_bias = needs
    dgates, dprojected, dh0 = backends.run(
        "scan_backward", *where,
        grad, previous, gates, normed, rstd, u, mask, lengths, ln_weight,
        needs_h0, needs_ln_weight or needs_ln_bias,
    )  # fmt: skip
    dw, du = grad.new_empty(0), u.new_empty(0)
    dln_weight, dln_bias = gates.new_empty(0), gates.new_empty(0)
    if needs_u:
        du = recurrent_weight_gradient(dprojected, previous, u).to(u.dtype)
    if needs_ln_weight:
        dln_weight = (dgates * normed).sum((0, 1, 2))
    if needs_ln_bias:
        dln_bias = dgates.sum((0, 1, 2))
    if needs_w:
        # Nobody needs the directions apart any more: no third buffer.
        dw = dgates[0] if len(dgates) == 1 else dgates[0].add_(dgates[1])
        dw = dw.to(grad.dtype)
    if not needs_h0:
        dh0 = gates.new_empty(0)
    return as_promised(dw, du, dh0, dln_weight, dln_bias)


@torch.library.register_fake(scan_backward)
def _fake_scan_backward(
    grad, output, gates, normed, rstd, u, h0, mask, lengths, ln_weight,
    needs, nonlinearity, directions, layernorm, eps, backend, w=None,
    ln_bias=None, version=1,
):  # fmt: skip
    batch, steps, width = grad.size(0), grad.size(1), u.size(0)
    gradients = (
        (grad, (batch, steps, width)),
        # Not empty_like, which keeps the strides of u.
        (u, (width, width // 2)),
        (gates, (directions * batch, width // 2)),
        (gates, (width,)),
        (gates, (width,)),
    )
    return tuple(
        like.new_empty(shape if needed else (0,))
        for needed, (like, shape) in zip(needs, gradients)
    )


# The arguments of ``scan`` that a gradient is known of.
_DIFFERENTIABLE = (0, 1, 2, 5, 6)
_ARGUMENTS = len(scan._schema.arguments)


def _setup_context(ctx, inputs, output):
    w, u, h0, mask, lengths, ln_weight, ln_bias, *options = inputs
    *options, save, recompute, _ = options
    result, gates, normed, rstd = output
    ctx.save_for_backward(
        result, gates, normed, rstd, u, h0, mask, lengths, ln_weight,
        *((w, ln_bias) if recompute else (None, None)),
    )  # fmt: skip
    ctx.mark_non_differentiable(gates, normed, rstd)
    # Else autograd makes zeros of their sizes in the backward.
    ctx.set_materialize_grads(False)
    ctx.options = options
    ctx.has_gates = save or recompute
    ctx.dtypes = [
        None if inputs[i] is None else inputs[i].dtype for i in _DIFFERENTIABLE
    ]


def _backward(ctx, grad, *_):
    if not ctx.has_gates:
        # ``save`` is a constant of a captured graph.
        raise RuntimeError(
            "ligru_scan: this graph was captured without gradients "
            "(torch.no_grad, or no weights that require them), so its "
            "forward keeps nothing for a backward; export or trace the model "
            "with gradients enabled to train what comes out"
        )
    gradients = [None] * _ARGUMENTS
    if grad is None:
        return tuple(gradients)
    needs = [ctx.needs_input_grad[i] for i in _DIFFERENTIABLE]
    *saved, w, ln_bias = ctx.saved_tensors
    found = scan_backward(
        grad.contiguous(), *saved, needs, *ctx.options, w, ln_bias, VERSION
    )
    for i, x, needed, dtype in zip(_DIFFERENTIABLE, found, needs, ctx.dtypes):
        if needed:
            gradients[i] = x.to(dtype)
    return tuple(gradients)


def _no_double_backward(ctx, *grads):
    raise RuntimeError(
        "ligru_scan: its backward is not differentiable a second time; "
        "call backward without create_graph=True, or use SpeechBrain's own "
        "layer (speechbrain_ligru_fast.restore) or torch.func's transforms "
        "where double backward is needed"
    )


torch.library.register_autograd(scan, _backward, setup_context=_setup_context)
torch.library.register_autograd(scan_backward, _no_double_backward)


def _autocast(device_type, keyset):
    """Autocast: operands in the autocast dtype, state in float32."""

    def kernel(w, u, h0, mask, lengths, ln_weight, ln_bias, *options):
        dtype = torch.get_autocast_dtype(device_type)
        if w.dtype != torch.float64:
            w = w.float()
            u = u.to(dtype)
        with torch._C._ExcludeDispatchKeyGuard(keyset):
            return torch.ops.speechbrain_ligru_fast.scan(
                w, u, h0, mask, lengths, ln_weight, ln_bias, *options
            )

    return kernel


def _no_autocast(keyset):
    """A backward that is called under autocast keeps its products' types."""

    def kernel(*arguments):
        with torch._C._ExcludeDispatchKeyGuard(keyset):
            return torch.ops.speechbrain_ligru_fast.scan_backward(*arguments)

    return kernel


_library = torch.library.Library(NAMESPACE, "FRAGMENT")
for _device_type, _key in (("cpu", "AutocastCPU"), ("cuda", "AutocastCUDA")):
    _keyset = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, _key))
    _library.impl("scan", _autocast(_device_type, _keyset), _key)
    _library.impl("scan_backward", _no_autocast(_keyset), _key)

flops.register(scan, scan_backward)


def ligru_scan(
    w: Tensor,
    u: Tensor,
    h0: Optional[Tensor] = None,
    mask: Optional[Tensor] = None,
    lengths: Optional[Tensor] = None,
    nonlinearity: str = "relu",
    directions: int = 1,
    layernorm: bool = False,
    ln_weight: Optional[Tensor] = None,
    ln_bias: Optional[Tensor] = None,
    eps: float = 1e-5,
    backend: str = "auto",
    recompute: bool = False,
) -> Tensor:
    """The LiGRU recurrence over a whole sequence, in one or two directions.

    For each row, with ``a`` and ``z`` the two halves of the gates::

        g_t = w_t + U h_{t-1}       (SLiGRU: w_t + LayerNorm(U h_{t-1}))
        z_t = sigmoid(z_t)
        h_t = z_t * h_{t-1} + (1 - z_t) * act(a_t) * mask

    Equations 9 to 12 of arXiv 1803.10225; SLiGRU: arXiv 2302.10144. The
    function also runs under torch.jit.script and torch.compile; under
    torch.func's transforms and in forward mode it is a plain loop, whatever
    the backend.

    Arguments
    ---------
    w : Tensor
        (B, T, 2H) input projection, candidate half first, shared by both
        directions. float32, float64, bfloat16 or float16.
    u : Tensor
        (2H, H) recurrent weights. Their dtype is the precision of the
        matrix product's operands (TF32 for float32 on a GPU where torch may
        use it, as importing SpeechBrain allows); state and sums are float32
        (float64 for float64).
    h0 : Tensor | None
        (D * B, H) initial state, forward rows first; None means zeros.
    mask : Tensor | None
        (D * B, H) recurrent dropout mask, constant over time. It receives
        no gradient.
    lengths : Tensor | None
        (B,) int64 frames in 0 to T; others fail a device's assertion on a
        GPU, which can't raise. The backward direction starts at an
        utterance's own last frame and padded outputs are 0.
    nonlinearity : str
        relu, tanh, sin or leaky_relu.
    directions : int
        D: 1, or 2 for a bidirectional scan.
    layernorm : bool
        SLiGRU's LayerNorm on the recurrent projection.
    ln_weight : Tensor | None
        (2H,) its weight.
    ln_bias : Tensor | None
        (2H,) its bias.
    eps : float
        Its epsilon.
    backend : str
        A backend's name, or ``auto`` for the fastest that can run.
    recompute : bool
        If True, the forward keeps w instead of the gates, (D, B, T, 2H) in
        float32, and, with ``layernorm``, as much again; the backward
        computes them in one GEMM more. docs/reference/backends.md says what
        that saves and costs.

    Returns
    -------
    Tensor
        (B, T, D * H) of w's dtype: forward states, then backward states.

    Raises
    ------
    ValueError
        For a wrong shape, device or option; on a CPU for lengths outside
        0 to T.
    TypeError
        For a dtype that is not floating point; for lengths that are not
        int64.
    RuntimeError
        If the named backend can't run, with the reason; in a second
        backward; in the backward of a graph that was captured without
        gradients.

    Example
    -------
    >>> w, u = torch.randn(4, 50, 12), torch.randn(12, 6)
    >>> ligru_scan(w, u, directions=2).shape
    torch.Size([4, 50, 12])
    """
    check_scan(
        w, u, h0, mask, lengths, nonlinearity, directions, layernorm,
        ln_weight, ln_bias,
    )  # fmt: skip
    save = w.requires_grad or u.requires_grad
    if h0 is not None:
        save = save or h0.requires_grad
    if ln_weight is not None:
        save = save or ln_weight.requires_grad
    if ln_bias is not None:
        save = save or ln_bias.requires_grad
    if mask is not None:
        mask = mask.detach()
    if not torch.jit.is_scripting():
        if backend == "auto" and few_steps.repays(
            w, u, lengths, mask, ln_weight, ln_bias
        ):
            return few_steps.scan(
                w, u, h0, mask, nonlinearity, directions, layernorm,
                ln_weight, ln_bias, eps,
            )  # fmt: skip
        if unrolled.needed():
            return unrolled.scan(
                ScanSpec(nonlinearity, directions, layernorm, eps),
                w, u, h0, mask, lengths, ln_weight, ln_bias,
            )  # fmt: skip
    result = torch.ops.speechbrain_ligru_fast.scan(
        w, u, h0, mask, lengths, ln_weight, ln_bias, nonlinearity, directions,
        layernorm, eps, backend, save and torch.is_grad_enabled(),
        recompute, 2,
    )  # fmt: skip
    return result[0]
