"""CUDA C++ kernels that stay on the GPU for a whole sequence.

The contract of the two functions is in backends/reference.py, how the kernels
work in docs/reference/kernels.md.
"""

import importlib.util

import torch

from speechbrain_ligru_fast.backends.cuda import launch
from speechbrain_ligru_fast.backends.cuda.launch import Arguments
from speechbrain_ligru_fast.backends.spec import LEAKY_SLOPE, NONLINEARITIES
from speechbrain_ligru_fast.products.precision import tf32_allowed

_OPERANDS = {
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
}
_DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}
# Codes of enum Type in kernels/layout.cuh.
_IO = {torch.float32: 0, torch.float16: 2, torch.bfloat16: 3}


def unavailable(device_type, dtype, spec):
    """None, or the reason why a scan can't run here."""
    if device_type != "cuda" or torch.version.cuda is None:
        return "its kernels run on an NVIDIA GPU only"
    if dtype not in _OPERANDS:
        return f"no kernels for {dtype}: float32, float16 and bfloat16 only"
    for library in ("cuda.bindings", "cuda.core"):
        try:
            found = importlib.util.find_spec(library)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return f"{library} is not installed: pip install 'cuda-core[cu13]'"
    major, minor = torch.cuda.get_device_capability()
    if (major, minor) < (7, 5):
        return f"compute capability {major}.{minor} is below 7.5"
    if dtype == torch.bfloat16 and major < 8:
        return f"no bfloat16 on compute capability {major}.{minor}"
    return None


def _operand(dtype, limits, backward):
    """Type of the product's operands."""
    if dtype == torch.bfloat16:
        return "bf16"
    tensor_cores = limits.capability >= (8, 0)
    if dtype == torch.float16:
        if not backward:
            return "fp16"
        # Gradients need float32's range; tf32 has fp16's precision.
        return "tf32" if tensor_cores else "fp32"
    return "tf32" if tensor_cores and tf32_allowed() else "fp32"


def _weights(u, plan):
    """(2, P, P) of the operands' type; backward (P, 2, P), transposed."""
    hidden = u.size(1)
    more = plan.padded - hidden
    gates = u.to(_DTYPES[plan.operand]).reshape(2, hidden, hidden)
    if plan.operand == "tf32":
        # To nearest: the tensor cores only cut the lower 13 bits off.
        bits = gates.contiguous().view(torch.int32)
        gates = ((bits + 0x1000) & ~0x1FFF).view(torch.float32)
    if plan.backward:
        gates = torch.nn.functional.pad(
            gates.permute(2, 0, 1), (0, more, 0, 0, 0, more)
        )
    else:
        gates = torch.nn.functional.pad(gates, (0, more, 0, more))
    return gates.contiguous()


def _float(x):
    """x as the kernels read it, or None."""
    return None if x is None else x.float().contiguous()


def _io(x, limits):
    """x in a type that the kernels read and write on this device."""
    if x.dtype in _IO and (
        x.dtype != torch.bfloat16 or limits.capability >= (8, 0)
    ):
        return x.contiguous()
    return x.float().contiguous()


def _run(machine, spec, u, backward, shape, io, tensors):
    """Plans, compiles and launches one kernel.

    Arguments
    ---------
    machine : Machine
        Where to run.
    spec : ScanSpec
        Options.
    u : Tensor
        (2H, H) weights.
    backward : bool
        Which kernel.
    shape : tuple
        Utterances and steps.
    io : torch.dtype
        Type of input and output.
    tensors : dict
        Tensors or None by their name in ``Arguments``.
    """
    batch, steps = shape
    hidden = u.size(1)
    macros = {
        "IO": _IO[io],
        "ACTIVATION": NONLINEARITIES.index(spec.nonlinearity),
        "LEAKY_SLOPE": f"{LEAKY_SLOPE}f",
    }
    plan, kernel = machine.kernel(
        hidden,
        batch * spec.directions,
        _operand(u.dtype, machine.limits, backward),
        backward,
        spec.layernorm,
        tuple(macros.items()),
    )
    # The words' epochs start at 1.
    words, stat_words = (
        torch.zeros(size, dtype=torch.uint8, device=u.device)
        for size in plan.word_bytes
    )
    tensors = {
        **tensors,
        "weights": _weights(u, plan),
        "words": words,
        "stat_words": stat_words,
    }
    arguments = Arguments(
        batch=batch,
        steps=steps,
        hidden=hidden,
        directions=spec.directions,
        groups=plan.groups,
        eps=spec.eps,
    )
    for name, tensor in tensors.items():
        if tensor is not None:
            setattr(arguments, name, tensor.data_ptr())
    machine.launch(plan, kernel, arguments)


def scan_forward(spec, w, u, h0, mask, lengths, ln_weight, ln_bias, save):
    """See backends/reference.py."""
    batch, steps, width = w.shape
    d = spec.directions
    machine = launch.machine(w.device)
    w_in = _io(w, machine.limits)

    def empty(kept, *shape):
        return torch.empty(
            shape if kept else (0,), dtype=torch.float32, device=w.device
        )

    # Frames past an utterance's end are never visited.
    make = torch.empty if lengths is None else torch.zeros
    output = make(
        (batch, steps, d * width // 2), dtype=w_in.dtype, device=w.device
    )
    keep = save and spec.layernorm
    gates = empty(save, d, batch, steps, width)
    normed = empty(keep, d, batch, steps, width)
    rstd = empty(keep, d, batch, steps)
    if save and lengths is not None:
        for tensor in (gates, normed, rstd):
            tensor.zero_()
    if spec.layernorm and u.dtype == torch.float32:
        # The projection's mean is then 0 but for rounding, and no digits
        # cancel in the variance. Half types would round a second time.
        u = u - u.mean(0, keepdim=True)
    if output.numel() > 0:
        tensors = {
            "input": w_in,
            "h0": _float(h0),
            "mask": _float(mask),
            "lengths": None if lengths is None else lengths.contiguous(),
            "ln_weight": _float(ln_weight),
            "ln_bias": _float(ln_bias),
            "output": output,
            "gates": gates if save else None,
            "normed": normed if keep else None,
            "rstd": rstd if keep else None,
        }
        shape = batch, steps
        _run(machine, spec, u, False, shape, w_in.dtype, tensors)
    return output.to(w.dtype), gates, normed, rstd


def scan_backward(
    spec, grad, previous, gates, normed, rstd, u, mask, lengths, ln_weight,
    needs_dh0=True, apart=True,
):  # fmt: skip
    """See backends/reference.py."""
    d, batch, steps, width = gates.shape
    machine = launch.machine(grad.device)
    make = torch.empty_like if lengths is None else torch.zeros_like
    dgates = make(gates)
    dprojected = make(gates) if spec.layernorm else dgates
    dh0 = gates.new_zeros(d * batch, width // 2)
    if dgates.numel() > 0:
        grad = _io(grad, machine.limits)
        tensors = {
            "input": grad,
            "previous": previous.to(grad.dtype).contiguous(),
            "mask": _float(mask),
            "lengths": None if lengths is None else lengths.contiguous(),
            "ln_weight": _float(ln_weight),
            "gates": gates.contiguous(),
            "normed": normed.contiguous() if spec.layernorm else None,
            "rstd": rstd.contiguous() if spec.layernorm else None,
            "dgates": dgates,
            "dprojected": dprojected,
            "dh0": dh0,
        }
        shape = batch, steps
        _run(machine, spec, u, True, shape, grad.dtype, tensors)
    return dgates, dprojected, dh0
