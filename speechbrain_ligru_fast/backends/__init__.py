"""The implementations of the scan, one file or folder each.

A backend module defines ``unavailable(device_type, dtype, spec)``, which
returns None or the reason why it can't run, and the two functions
``scan_forward`` and ``scan_backward``, whose contract is documented in
``backends/reference.py``. A module whose products may read states that are
not rounded to U's dtype defines ``rounds_states(device_type, dtype)``, one that
is slower on some machines than its successors ``passed_over(device_type)``,
which returns None or why ``auto`` takes the next. Modules are imported at first
use only: their libraries may be absent, heavy or broken.
"""

import functools
import importlib
import importlib.util
import logging
import traceback

import torch

from speechbrain_ligru_fast.backends import order
from speechbrain_ligru_fast.backends.failures import (
    Broken,
    CannotRun,
    Refused,
    mendable,
    warn_of_broken,
)
from speechbrain_ligru_fast.products import tf32_allowed
from speechbrain_ligru_fast.spec import (
    BACKENDS,
    ScanSpec,
    check_backend_name,
)

logger = logging.getLogger(__name__)

# What ``auto`` asks, in this order, and so imports; on a GPU see order.py.
CANDIDATES = {
    "cpu": ("numba", "torchscript", "reference"),
    "other": ("torchscript", "reference"),
}
# Libraries that one does without, unlike Numba.
_OPTIONAL = ("triton", "cuda", "numba_cuda")


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
        reason = f"its library can't be imported: {error}"
        if isinstance(error, ModuleNotFoundError) and error.name in _OPTIONAL:
            return reason
        return Broken(reason)


def _reason(name, device_type, dtype, spec):
    """None if backend ``name`` can run, else why not."""
    module = _load(name)
    if isinstance(module, str):
        return module
    try:
        return module.unavailable(device_type, dtype, spec)
    # A library of an unknown version, or a driver, may fail only when asked.
    except Exception as error:
        return Broken(f"its library can't be asked: {error}")


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
    return _choose(*_asked(name, device_type, dtype, spec, steps))


def _asked(name, device_type, dtype, spec, steps):
    """What a choice depends on."""
    tf32 = device_type == "cuda" and dtype == torch.float32 and tf32_allowed()
    return name, device_type, dtype, spec, steps < _SHORT, tf32


def rounds_states(name, device_type, dtype, spec, steps, grad=None):
    """Whether a scan's products round the states to U's dtype.

    Arguments
    ---------
    name, device_type, dtype, spec, steps
        As in ``choose``.
    grad : Tensor | None
        (B, T, D * H) gradient of the scan's output: which backends have
        failed at it.

    Returns
    -------
    bool
    """
    asked = _asked(name, device_type, dtype, spec, steps)
    refused = ()
    if name == "auto" and grad is not None:
        refused = _refused.names(*_scan("scan_backward", dtype, spec, grad))
    module = _choose(*asked, refused)
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
        What the function returns. Where a backend fails, ``auto`` goes on
        to the next one, with one warning: each makes tensors of its own, and
        reads what another's forward has saved.
    """
    asked = _asked(name, device_type, dtype, spec, steps)
    if name != "auto":
        module = _choose(*asked)
        try:
            return getattr(module, function)(spec, *arguments)
        except CannotRun as error:
            raise CannotRun(
                f"{error}. backend='auto' goes on to the next that can."
            ) from error
    failures = []
    while True:
        refused = ()
        if _refused or failures:
            scan = _scan(function, dtype, spec, arguments[0])
            refused = (*_refused.names(*scan), *(n for n, _ in failures))
        module = _choose(*asked, refused)
        try:
            result = getattr(module, function)(spec, *arguments)
        except Exception as error:
            taken, device = _name(module), arguments[0].device
            if taken == "reference" or not mendable(error, device):
                raise
            failures.append((taken, error))
            # Their tensors, which the next one may need the memory of.
            traceback.clear_frames(error.__traceback__)
            continue
        # Only now: where all fail, the caller's arguments do.
        for failed, error in failures:
            _refused.add(failed, error, _name(module), *scan)
        # They hold this frame, and so its tensors.
        failures.clear()
        return result


def _name(module):
    return module.__name__.rpartition(".")[2]


_refused = Refused()


def _scan(function, dtype, spec, tensor):
    """What failures are remembered by; see ``failures.Refused``."""
    parts = 2 if function == "scan_forward" else spec.directions
    rows = spec.directions * tensor.size(0)
    return tensor.device, dtype, spec, tensor.size(2) // parts, rows


def _by_speed(device_type, dtype, spec, short, tf32):
    """Yields backends, the fastest first, and why ``auto`` can't take them.

    ``torchscript`` and ``reference`` run everywhere.
    """
    candidates = CANDIDATES.get(device_type, CANDIDATES["other"])
    if device_type == "cuda":
        candidates = order.gpu_order(
            torch.cuda.get_device_name(), dtype, spec.layernorm, tf32
        )
    for candidate in candidates:
        if candidate == "numba" and device_type == "cpu" and short:
            reason = f"fewer than {_SHORT} steps don't repay packing"
        else:
            reason = _reason(candidate, device_type, dtype, spec)
        if reason is None:
            passed_over = getattr(_load(candidate), "passed_over", None)
            reason = passed_over and passed_over(device_type)
        yield candidate, reason


@functools.cache
def _choose(name, device_type, dtype, spec, short, tf32, refused=()):
    check_backend_name(name)
    if name != "auto":
        reason = _reason(name, device_type, dtype, spec)
        if reason is not None:
            instead = "torchscript"
            # Without a GPU there is nothing to ask the others about.
            if device_type != "cuda" or torch.cuda.is_available():
                others = _by_speed(device_type, dtype, spec, short, tf32)
                instead = next(n for n, why in others if why is None)
            raise RuntimeError(
                f"backend {name!r} can't run on {device_type} with {dtype}: "
                f"{reason}. Use backend={instead!r}, or backend='auto' for "
                "the fastest that can."
            )
        return _load(name)
    slower = []
    for candidate, reason in _by_speed(device_type, dtype, spec, short, tf32):
        if candidate in refused:
            continue
        if reason is not None:
            slower.append((candidate, reason))
            continue
        logger.info(
            "LiGRU backend on %s with %s%s: %s%s",
            device_type,
            dtype,
            ", products in TF32" * tf32,
            candidate,
            "".join(f"; not {n}: {why}" for n, why in slower),
        )
        for broken, why in slower:
            if isinstance(why, Broken):
                warn_of_broken(broken, why, device_type, candidate)
        return _load(candidate)
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
