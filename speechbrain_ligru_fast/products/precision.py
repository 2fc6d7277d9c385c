"""Matrix products of the operands' precision, with sums in the state's."""

import torch

from speechbrain_ligru_fast.products import gemm, matrix_unit

_HALF = (torch.bfloat16, torch.float16)


def tf32_allowed():
    """Whether torch may round float32 operands on a GPU to TF32.

    torch doesn't by itself; importing SpeechBrain, as every layer of this
    package does, allows it.

    Returns
    -------
    bool

    Example
    -------
    >>> tf32_allowed() in (True, False)
    True
    """
    matmul = torch.backends.cuda.matmul
    # Newer versions raise where the old switch is read after the new one.
    if hasattr(matmul, "fp32_precision"):
        return matmul.fp32_precision == "tf32"
    return matmul.allow_tf32


def mm(a, b, dtype):
    """``a @ b``, the sums in a wider type than the operands.

    Arguments
    ---------
    a : Tensor
        (N, K).
    b : Tensor
        (K, M) of a's dtype.
    dtype : torch.dtype
        Of the sums and the result.

    Returns
    -------
    Tensor
        (N, M).

    Example
    -------
    >>> ones = torch.ones(3, 3, dtype=torch.bfloat16)
    >>> mm(ones, ones, torch.float32).dtype
    torch.float32
    """
    # Torch's product of half types rounds its sums, unless it is asked not
    # to: so far it can be asked on a GPU only, and since 2.8.
    if (
        a.is_cuda
        and a.dtype in _HALF
        and dtype == torch.float32
        and hasattr(torch.ops.aten.mm, "dtype")
    ):
        return torch.mm(a, b, out_dtype=dtype)
    return gemm.product(a.to(dtype), b.to(dtype))


def recurrent_weight_gradient(dprojected, previous, u):
    """U's gradient: one product over every row and step.

    Arguments
    ---------
    dprojected : Tensor
        (D, B, T, 2H) gradient of ``U h``.
    previous : Tensor
        (D, B, T, H) the state each step started from.
    u : Tensor
        (2H, H) recurrent weights.

    Returns
    -------
    Tensor
        (2H, H) of dprojected's dtype; rounded to u's on a CPU that multiplies
        bfloat16.

    Example
    -------
    >>> dprojected, previous = torch.ones(1, 2, 3, 8), torch.ones(1, 2, 3, 4)
    >>> recurrent_weight_gradient(dprojected, previous, torch.ones(8, 4))[0]
    tensor([6., 6., 6., 6.])
    """
    dtype = dprojected.dtype
    halves = dtype == torch.float32 and u.dtype == torch.bfloat16
    unit = matrix_unit.available() or matrix_unit.dots()
    on_cpu = halves and u.device.type == "cpu" and unit
    if on_cpu or (halves and u.is_cuda):
        # As autocast's own products, which tensor cores and matrix units
        # compute; float16 lacks the gradients' range.
        dprojected = dprojected.bfloat16()
    dprojected = dprojected.flatten(0, 2).t()
    previous = previous.flatten(0, 2).to(dprojected.dtype)
    if on_cpu:
        # Summed in float32 and rounded once, to what U's gradient becomes.
        return (dprojected @ previous).to(dtype)
    return mm(dprojected, previous, dtype)
