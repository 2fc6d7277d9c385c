"""A layer of a few frames as one node of autograd's graph: few_frames.py."""

import torch
from torch import nn

from speechbrain_ligru_fast.scan import few_steps, few_steps_gradient, unrolled


def forward(x, w, u, h, mask, norm, options, saved):
    """Output (B, T, D * H) and last states (D, B, H)."""
    batch, steps, features = x.shape
    directions = options[1]
    rows = torch.mm(x.reshape(batch * steps, features), w.t())
    rows, kept = _normalise(rows, directions, *norm)
    if saved is not None:
        saved += kept
    frames = [rows]
    if steps > 1:
        frames = rows.view(batch, steps, -1).unbind(1)
    h = h.expand(directions * batch, -1)
    output, last = few_steps_gradient.forward(
        frames, u, h, mask, *options, saved
    )
    return output, last.view(directions, batch, -1)


def _normalise(rows, directions, how, weight, bias, statistics, momentum, eps):
    """(N, 2H) normalised, and what the backward reads."""
    if how == "none":
        return rows, (None, None, None)
    if how == "layer":
        normed, *found = torch.native_layer_norm(
            rows, rows.shape[1:], weight, bias, eps
        )
        return normed, (rows, *found)
    mean, var = statistics
    training, n = how == "training", rows.size(0)
    if not training or directions == 1:
        normed, *found = torch.native_batch_norm(
            rows, weight, bias, mean, var, training, momentum, eps
        )
        return normed, (rows, *found)
    # As feed_forward.py's _count_directions, which says why.
    new = var.clone()
    if n == 1:
        rows = rows.expand(2, -1)
    normed, *found = torch.native_batch_norm(
        rows, weight, bias, mean, new, True, momentum, eps
    )
    ratio = 1.0 if n == 1 else 2.0 * (n - 1) / (2 * n - 1)
    var.mul_((1 - ratio) * (1 - momentum)).add_(new, alpha=ratio)
    return normed[:1] if n == 1 else normed, (rows, *found)


def _normalise_backward(grad, how, affine, statistics, eps, kept, which):
    """Gradients of the rows, the weight and the bias."""
    if how == "none":
        return grad, None, None
    before, *found = kept
    if how == "layer":
        return torch.ops.aten.native_layer_norm_backward.default(
            grad, before, before.shape[1:], *found, *affine, which
        )
    n = grad.size(0)
    if n < before.size(0):
        grad = torch.cat([grad, torch.zeros_like(grad)])
    rows, *others = torch.ops.aten.native_batch_norm_backward.default(
        grad, before, affine[0], *statistics, *found, how == "training", eps,
        which,
    )  # fmt: skip
    if n < before.size(0):
        rows = rows.sum(0, keepdim=True)
    return rows, *others


# Arguments of ``Layer`` that a gradient is known of.
_LEAVES = 8


class Layer(torch.autograd.Function):
    """A layer as one node of autograd's graph."""

    @staticmethod
    def forward(ctx, *arguments):
        *leaves, mask, norm, options = arguments
        saved = []
        results = forward(*leaves[:4], mask, norm, options, saved)
        how, _, _, statistics, _, eps = norm
        # Those of training are changed by the next batch, and not needed.
        statistics = statistics if how == "running" else (None, None)
        ctx.save_for_backward(*leaves, mask, *statistics, *saved)
        ctx.options = how, eps, options
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    def backward(ctx, grad, dlast):
        how, eps, options = ctx.options
        tensors = ctx.saved_tensors
        leaves, mask = tensors[:_LEAVES], tensors[_LEAVES]
        statistics, kept, saved = tensors[9:11], tensors[11:14], tensors[14:]
        needs = ctx.needs_input_grad[:_LEAVES]
        if (
            torch.is_grad_enabled()
            or unrolled.transformed()
            or _batched(grad)
            or _batched(dlast)
        ):
            # To be differentiated again, or many gradients at once.
            found = _differentiable(
                leaves, mask, statistics, how, eps, options, (grad, dlast),
                needs,
            )  # fmt: skip
        else:
            found = _backward(
                grad, dlast, leaves, mask, statistics, how, eps, options,
                kept, saved, needs,
            )  # fmt: skip
        found = [x if needed else None for x, needed in zip(found, needs)]
        return *found, None, None, None


def _batched(grad):
    """Whether a gradient is many, as torch.autograd's is_grads_batched."""
    if grad is None:
        return False
    return torch._C._functorch.is_legacy_batchedtensor(grad)


def _backward(
    grad, dlast, leaves, mask, statistics, how, eps, options, kept, saved,
    needs,
):  # fmt: skip
    x, w, u, h, *affine = leaves
    nonlinearity, directions, *_ = options
    if grad is None:
        grad = x.new_zeros(*x.shape[:2], directions * u.size(1))
    if dlast is not None:
        dlast = dlast.reshape(-1, u.size(1))
    dw, du, dh, *dln = few_steps_gradient.backward(
        grad, dlast, u, mask, saved, nonlinearity, directions, *affine[2:],
        [True, *needs[2:4], *needs[6:]],
    )  # fmt: skip
    rows, *dnorm = _normalise_backward(
        dw.flatten(0, 1), how, affine[:2], statistics, eps, kept,
        (True, *needs[4:6]),
    )  # fmt: skip
    dx = torch.mm(rows, w).view(x.shape) if needs[0] else None
    dweight = torch.mm(rows.t(), x.flatten(0, 1)) if needs[1] else None
    if needs[3] and h.size(0) < dh.size(0):
        dh = dh.sum(0, keepdim=True)
    return [dx, dweight, du, dh, *dnorm, *dln]


@torch.enable_grad()
def _differentiable(
    leaves, mask, statistics, how, eps, options, grads, needs
):  # fmt: skip
    """The gradients with a graph of their own."""
    x, w, u, h, weight, bias, *affine = leaves
    nonlinearity, directions, layernorm, _, _, ln_eps = options
    batch, steps, _ = x.shape
    rows = nn.functional.linear(x, w).flatten(0, 1)
    if how == "layer":
        shape = rows.shape[1:]
        rows = nn.functional.layer_norm(rows, shape, weight, bias, eps)
    elif how != "none":
        training, n = how == "training", rows.size(0)
        if training and n == 1:
            rows = rows.expand(2, -1)
        rows = nn.functional.batch_norm(
            rows, *statistics, weight, bias, training, 0.0, eps
        )[:n]
    output = few_steps.scan(
        rows.view(batch, steps, -1), u, h.expand(directions * batch, -1), mask,
        nonlinearity, directions, layernorm, *affine, ln_eps,
    )  # fmt: skip
    last = [output[:, -1, : u.size(1)], output[:, 0, u.size(1) :]]
    results = output, torch.stack(last[:directions])
    given = [(y, dy) for y, dy in zip(results, grads) if dy is not None]
    asked = [leaf for leaf, needed in zip(leaves, needs) if needed]
    results, grads = zip(*given)
    found = iter(torch.autograd.grad(results, asked, grads, create_graph=True))
    return [next(found) if needed else None for needed in needs]
