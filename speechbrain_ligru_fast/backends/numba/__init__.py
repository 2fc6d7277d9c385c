"""Loops that Numba compiles: cpu/ on torch's own threads, gpu.py on a GPU.

The contract of the two functions is in backends/reference.py, how they work
in docs/reference/kernels.md.
"""

import importlib.util

import numba

from speechbrain_ligru_fast.backends.failures import Broken
from speechbrain_ligru_fast.backends.numba import cpu
from speechbrain_ligru_fast.backends.numba.cpu import target


def rounds_states(device_type, dtype):
    """Whether products round the states to U's dtype, or read them whole."""
    return device_type == "cpu" and cpu.words_of(dtype) is not None


def unavailable(device_type, dtype, spec):
    """None, or the reason why a scan can't run here."""
    if numba.config.DISABLE_JIT:
        return "NUMBA_DISABLE_JIT is set"
    if device_type == "cpu":
        return None
    if device_type != "cuda":
        return f"its kernels don't run on {device_type}"
    if importlib.util.find_spec("numba_cuda") is None:
        return "on a GPU it needs numba-cuda: pip install numba-cuda[cu13]"
    try:
        return _gpu().unavailable()
    # A broken installation raises whatever it likes, at its first use.
    except Exception as error:
        return Broken(f"numba-cuda can't be used: {error}")


def passed_over(device_type):
    """None, or why ``auto`` takes the next backend though this one can run."""
    if device_type == "cuda":
        return "it has no tensor cores, and plain torch was faster on an H200"
    lesser = target.lesser()
    if lesser is None:
        return None
    return (
        f"Numba is set to compile for the CPU {lesser!r} (NUMBA_CPU_NAME, "
        "NUMBA_CPU_FEATURES), without the fused multiply-add that this one has"
    )


def _gpu():
    """The GPU's module: Numba's CUDA target is imported at its first use."""
    from speechbrain_ligru_fast.backends.numba import gpu

    return gpu


def _module(tensor):
    return _gpu() if tensor.device.type == "cuda" else cpu


def scan_forward(spec, w, u, h0, mask, lengths, ln_weight, ln_bias, save):
    """See backends/reference.py."""
    return _module(w).scan_forward(
        spec, w, u, h0, mask, lengths, ln_weight, ln_bias, save
    )


def scan_backward(
    spec, grad, previous, gates, normed, rstd, u, mask, lengths, ln_weight,
    needs_dh0=True, apart=True,
):  # fmt: skip
    """See backends/reference.py."""
    return _module(grad).scan_backward(
        spec, grad, previous, gates, normed, rstd, u, mask, lengths, ln_weight,
        needs_dh0, apart,
    )  # fmt: skip
