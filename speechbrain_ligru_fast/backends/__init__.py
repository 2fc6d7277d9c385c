"""The implementations of the scan, one file or folder each.

A backend module defines ``unavailable(device_type, dtype, spec)``, which
returns None or the reason why it can't run, and the two functions
``scan_forward`` and ``scan_backward``, whose contract is documented in
``backends/reference.py``. A module whose products may read states that are
not rounded to U's dtype defines ``rounds_states(device_type, dtype)``. Modules
are imported at first use only: their libraries may be absent, heavy or broken.
"""

import functools
import importlib
import importlib.util
import logging

import torch

from speechbrain_ligru_fast.backends import order
from speechbrain_ligru_fast.spec import (
    BACKENDS,
    ScanSpec,
    check_backend_name,
)

logger = logging.getLogger(__name__)


class CannotRun(RuntimeError):
    """A backend can't run a scan of this size on this device.

    Raised by ``scan_forward`` or ``scan_backward`` before they start, for
    what ``unavailable`` can't know.
    """


@functools.cache
def _load(name):
    """The backend's module, or the reason why it can't be imported."""
    path = f"{__name__}.{name}"
    if importlib.util.find_spec(path) is None:
        return f"{name} is not part of this version"
    try:
        return importlib.import_module(path)
    # A broken library may raise anything, OSError for a missing file of its.
    except Exception as error:
        return f"its library can't be imported: {error}"


def _reason(name, device_type, dtype, spec):
    """None if backend ``name`` can run, else why not."""
    module = _load(name)
    if isinstance(module, str):
        return module
    try:
        return module.unavailable(device_type, dtype, spec)
    # A library of an unknown version, or a driver, may fail only when asked.
    except Exception as error:
        return f"its library can't be asked: {error}"


# Steps below which packing weights for a compiled loop saves little or costs
# more than the loop saves, on a CPU (docs/backends.md#measured).
_SHORT = 4


def choose(name, device_type, dtype, spec, steps=_SHORT):
    """The module that runs a scan.

    Arguments
    ---------
    name : str
        A backend's name, or ``auto`` for the fastest that can run.
    device_type : str
        ``cpu`` or ``cuda``.
    dtype : torch.dtype
        dtype of the recurrent weights.
    spec : ScanSpec
        Options of the scan.
    steps : int
        Length of the sequence; ``auto`` runs a few steps without packing.

    Returns
    -------
    module

    Raises
    ------
    ValueError
        For an unknown name.
    RuntimeError
        If the named backend can't run, with the reason.
    """
    return _choose(name, device_type, dtype, spec, steps < _SHORT)


def rounds_states(name, device_type, dtype, spec, steps):
    """Whether a scan's products round the states to U's dtype.

    Arguments
    ---------
    name, device_type, dtype, spec, steps
        As in ``choose``.

    Returns
    -------
    bool
    """
    module = choose(name, device_type, dtype, spec, steps)
    rounds = getattr(module, "rounds_states", None)
    return rounds is None or rounds(device_type, dtype)


def run(function, name, device_type, dtype, spec, steps, *arguments):
    """Calls a function of the backend that runs a scan.

    Arguments
    ---------
    function : str
        ``scan_forward`` or ``scan_backward``.
    name, device_type, dtype, spec, steps
        As in ``choose``.
    *arguments
        Of the function, after ``spec``.

    Returns
    -------
    tuple
        What the function returns. ``auto`` goes on to the next backend when
        one turns out not to hold the scan, with one warning.
    """
    refused = ()
    while True:
        module = _choose(
            name, device_type, dtype, spec, steps < _SHORT, refused
        )
        try:
            return getattr(module, function)(spec, *arguments)
        except CannotRun as error:
            if name != "auto":
                raise CannotRun(
                    f"{error}. backend='auto' goes on to the next that can."
                ) from error
            _warn(f"{error}; taking the next backend")
            refused += (module.__name__.rpartition(".")[2],)


@functools.cache
def _warn(message):
    logger.warning(message)


def _by_speed(device_type, dtype, spec, short):
    """Yields backends, the fastest first, and why ``auto`` can't take them.

    ``torchscript`` and ``reference`` run everywhere.
    """
    candidates = BACKENDS[1:]
    if device_type == "cuda":
        candidates = order.gpu_order(
            torch.cuda.get_device_name(), dtype, spec.layernorm
        )
    for candidate in candidates:
        if device_type == "cpu" and candidate in ("cuda", "triton"):
            # Not even asked: importing Triton takes a second. Its interpreter
            # is for tests only.
            reason = "it runs on a GPU"
        elif device_type == "cpu" and candidate == "numba" and short:
            reason = f"fewer than {_SHORT} steps don't repay packing"
        else:
            reason = _reason(candidate, device_type, dtype, spec)
        yield candidate, reason


@functools.cache
def _choose(name, device_type, dtype, spec, short, refused_sizes=()):
    check_backend_name(name)
    if name != "auto":
        reason = _reason(name, device_type, dtype, spec)
        if reason is not None:
            instead = "torchscript"
            # Without a GPU there is nothing to ask the others about.
            if device_type != "cuda" or torch.cuda.is_available():
                others = _by_speed(device_type, dtype, spec, short)
                instead = next(n for n, why in others if why is None)
            raise RuntimeError(
                f"backend {name!r} can't run on {device_type} with {dtype}: "
                f"{reason}. Use backend={instead!r}, or backend='auto' for "
                "the fastest that can."
            )
        return _load(name)
    refused = []
    for candidate, reason in _by_speed(device_type, dtype, spec, short):
        if candidate in refused_sizes:
            continue
        if reason is None:
            logger.info(
                "LiGRU backend on %s with %s: %s%s",
                device_type,
                dtype,
                candidate,
                "".join(f"; not {n}: {why}" for n, why in refused),
            )
            return _load(candidate)
        refused.append((candidate, reason))
    raise AssertionError("the reference backend runs everywhere")


def available_backends():
    """Which backends can run here.

    Returns
    -------
    dict
        Name -> "ok", or the reason why it can't run. A backend is "ok" if
        it runs a float32 LiGRU on some device of this machine.

    Example
    -------
    >>> available_backends()["reference"]
    'ok'
    """
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    found = {}
    for name in BACKENDS[1:]:
        reasons = [
            _reason(name, device, torch.float32, ScanSpec())
            for device in devices
        ]
        found[name] = "ok" if None in reasons else reasons[-1]
    return found
