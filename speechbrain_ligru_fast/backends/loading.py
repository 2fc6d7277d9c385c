"""Backends' modules, imported at first use, and whether each can run.

Their libraries may be absent, heavy or broken.
"""

import contextlib
import functools
import importlib
import importlib.util

import torch

from speechbrain_ligru_fast.backends.failures import Broken

# Libraries that one does without, unlike Numba.
_OPTIONAL = ("triton", "cuda", "numba_cuda")


@functools.cache
def load(name):
    """The backend's module, or the reason why it can't be imported."""
    path = f"{__package__}.{name}"
    if importlib.util.find_spec(path) is None:
        return f"{name} is not part of this version"
    try:
        return importlib.import_module(path)
    # A broken library may raise anything, OSError for a missing file of its.
    except Exception as error:
        why = f"its library can't be imported: {error}"
        if isinstance(error, ModuleNotFoundError) and error.name in _OPTIONAL:
            return why
        return Broken(why)


def current(device):
    """Makes a GPU the current one, which libraries ask about."""
    if device is None or device.type != "cuda":
        return contextlib.nullcontext()
    return torch.cuda.device(device)


def reason(name, device_type, dtype, spec):
    """None if backend ``name`` can run, else why not."""
    module = load(name)
    if isinstance(module, str):
        return module
    try:
        return module.unavailable(device_type, dtype, spec)
    # A library of an unknown version, or a driver, may fail only when asked.
    except Exception as error:
        return Broken(f"its library can't be asked: {error}")


def passed_over(name, device_type):
    """None, or why ``auto`` takes another than ``name``, which can run."""
    asked = getattr(load(name), "passed_over", None)
    try:
        return asked and asked(device_type)
    except Exception as error:
        return Broken(f"its library can't be asked: {error}")
