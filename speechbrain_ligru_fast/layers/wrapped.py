"""Modules that users put in place of a layer's own, or put hooks on.

A layer computes with the parameters of its modules instead of calling them.
That is the same where a module is what the layer made; the functions here
find out where it is not. None of them is scripted.
"""

import torch
from torch import nn

from speechbrain_ligru_fast.products.precision import tf32_allowed

# Of the inputs on which a replaced U is tried: around 1, where an activation
# bends, and beyond, where a limit cuts off.
_SCALES = (1.0, 16.0)
_PROBES = 3


def is_plain(module, kind):
    """Whether calling a module does what its class does, and nothing else.

    Arguments
    ---------
    module : torch.nn.Module
        Any module.
    kind : type
        The class whose ``forward`` is meant; a subclass may inherit it.

    Returns
    -------
    bool

    Example
    -------
    >>> linear = nn.Linear(2, 3)
    >>> is_plain(linear, nn.Linear), is_plain(nn.Tanh(), nn.Linear)
    (True, False)
    >>> handle = linear.register_forward_hook(lambda module, x, y: 2 * y)
    >>> is_plain(linear, nn.Linear)
    False
    """
    return (
        isinstance(module, kind)
        and type(module).forward is kind.forward
        and "forward" not in module.__dict__
        and len(module._forward_pre_hooks) == 0
        and len(module._forward_hooks) == 0
    )


def _refuse(name, came, allowed):
    raise RuntimeError(
        f"{name}: got {came}, expected {allowed}. "
        "speechbrain_ligru_fast.restore(model) gives SpeechBrain's layers, "
        "which call whatever is there."
    )


def check_layer_norm(module):
    """Refuses what the scan, which has LayerNorm in it, would not call.

    Raises
    ------
    RuntimeError
        For another class and for forward hooks.
    """
    if not is_plain(module, nn.LayerNorm):
        _refuse(
            "layer_norm",
            f"{type(module).__name__} with "
            f"{len(module._forward_pre_hooks) + len(module._forward_hooks)} "
            "forward hooks",
            "torch.nn.LayerNorm without forward hooks",
        )


def recurrent_matrix(module, like):
    """The matrix that a module applies to the states, (2H, H).

    Arguments
    ---------
    module : torch.nn.Module
        What stands in for U: adapted, quantised, pruned, with hooks.
    like : Tensor
        (1, H), of the states' dtype and device.

    Returns
    -------
    Tensor
        Dropout inside of the module is drawn once, for all steps.

    Raises
    ------
    RuntimeError
        Where no matrix does what the module does. Not in a compiled graph
        and a CUDA graph, which can not look at values.

    Example
    -------
    >>> u, h = nn.Linear(3, 6, bias=False), torch.zeros(1, 3)
    >>> torch.equal(recurrent_matrix(u, h), u.weight)
    True
    """
    if isinstance(module, nn.Linear) and module.bias is not None:
        _refuse(
            "u",
            f"{type(module).__name__} with a bias",
            "a linear map without one",
        )
    if is_plain(module, nn.Linear):
        return module.weight
    eye = torch.eye(like.size(1), dtype=like.dtype, device=like.device)
    if _readable(like):
        _check_linear(module, eye)
    return module(eye).t()


def _readable(tensor):
    """Whether the values of a tensor can be looked at here."""
    if torch.compiler.is_compiling() or tensor.is_meta:
        return False
    return not (tensor.is_cuda and torch.cuda.is_current_stream_capturing())


@torch.no_grad()
def _check_linear(module, eye):
    """Compares a module with the matrix that it makes of ``eye``."""
    # Dropout would differ from call to call. Not eval(), which adapters
    # override to merge their weights.
    training = [part for part in module.modules() if part.training]
    generator = torch.Generator("cpu").manual_seed(0)
    probes = torch.rand(
        _PROBES, len(eye), generator=generator, device="cpu"
    ).to(eye)
    # The last row is of zeros: what is left there is a bias.
    probes = torch.cat([2 * probes - 1, torch.zeros_like(probes[:1])])
    try:
        for part in training:
            part.training = False
        outputs = [module(eye)]
        outputs += [module(scale * probes) for scale in _SCALES]
    finally:
        for part in training:
            part.training = True
    limit = _resolution(module, [eye, *outputs]) ** 0.5
    matrix, *outputs = (
        y.to(torch.promote_types(y.dtype, torch.float32)) for y in outputs
    )
    wrong = []
    for scale, got in zip(_SCALES, outputs):
        want = scale * probes.to(matrix) @ matrix
        size = torch.maximum(got.norm(), want.norm())
        wrong.append((got - want).norm() > limit * size)
        wrong.append(got[-1].norm() > limit * size)
    # A weight that is not finite makes states that are not, as it should.
    if bool(torch.stack(wrong).any() & matrix.isfinite().all()):
        _refuse(
            "u",
            f"{type(module).__name__}, whose map is not linear or has a bias",
            "a linear map without a bias, as U (also adapted by LoRA), which "
            "the recurrence takes as one matrix",
        )


def _resolution(module, tensors):
    """The relative rounding of the coarsest type that a module computes in.

    Half of its digits are asked of sums of products: the square root.
    """
    tensors = [*tensors, *module.parameters()]
    dtypes = {tensor.dtype for tensor in tensors}
    kinds = {type(part).__module__ for part in module.modules()}
    found = [torch.finfo(t).eps for t in dtypes if t.is_floating_point]
    if len(found) < len(dtypes) or any(".quantized" in k for k in kinds):
        found.append(2.0**-7)
    if torch.float32 in dtypes:
        found.append(_rounding_of_float32(tensors[0].device.type))
    return max(found)


def _rounding_of_float32(device_type):
    """What torch is allowed to round operands in float32 to."""
    if device_type == "cuda":
        return 2.0**-10 if tf32_allowed() else 2.0**-23
    options = getattr(torch.backends.mkldnn, "matmul", None)
    precision = getattr(options, "fp32_precision", "none")
    return 2.0**-7 if precision in ("bf16", "tf32") else 2.0**-23
