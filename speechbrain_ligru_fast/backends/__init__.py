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
import traceback

import torch

from speechbrain_ligru_fast.backends import auto, loading
from speechbrain_ligru_fast.backends.failures import (
    CannotRun,
    Refused,
    mendable,
)
from speechbrain_ligru_fast.backends.rows import size_class
from speechbrain_ligru_fast.backends.spec import (
    BACKENDS,
    ScanSpec,
    check_backend_name,
)
from speechbrain_ligru_fast.products.precision import tf32_allowed


def choose(name, device_type, dtype, spec, steps=auto.SHORT):
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
    return name, device_type, dtype, spec, steps < auto.SHORT, tf32


def _sizes(function, spec, arguments):
    """What a choice depends on as well, where backends must prove themselves.

    Device, type, hidden units, rows (rounded up, as kernels are planned),
    whether there is but one step, and whether there is a backward.
    """
    tensor = arguments[0]
    if tensor.device.type not in auto.PROVEN_ON or not tensor.numel():
        return None
    *_, hidden, rows = _scan(function, None, spec, tensor)
    backward = function == "scan_backward" or arguments[-1]
    return (
        tensor.device, tensor.dtype, hidden, size_class(rows),
        tensor.size(1) == 1, backward,
    )  # fmt: skip


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
    refused, sizes = (), None
    if grad is not None:
        sizes = _sizes("scan_backward", spec, [grad])
    if name == "auto" and grad is not None:
        refused = _refused.names(*_scan("scan_backward", dtype, spec, grad))
    module = _choose(*asked, refused, sizes)
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
    sizes = _sizes(function, spec, arguments)
    if name != "auto":
        module = _choose(*asked, (), sizes)
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
        module = _choose(*asked, refused, sizes)
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
        for failed, why in failures:
            _refused.add(failed, why, _name(module), *scan)
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


@functools.cache
def _choose(
    name, device_type, dtype, spec, short, tf32, refused=(), sizes=None
):  # fmt: skip
    check_backend_name(name)
    with loading.current(sizes and sizes[0]):
        candidates = auto.by_speed(device_type, dtype, spec, short)
        if name != "auto":
            reason = loading.reason(name, device_type, dtype, spec)
            if reason is not None:
                raise _cannot(name, reason, device_type, dtype, candidates)
        if sizes is not None:
            # Imported where there is a GPU only: it starts processes.
            from speechbrain_ligru_fast.backends import verdicts

            kind = (dtype, spec, tf32, *sizes)
            candidates = verdicts.consult(name, list(candidates), *kind)
    if name == "auto":
        return auto.pick(candidates, device_type, dtype, tf32, refused)
    return loading.load(name)


def _cannot(name, reason, device_type, dtype, candidates):
    """The error of a named backend that can't run."""
    instead = "torchscript"
    # Without a GPU there is nothing to ask the others about.
    if device_type != "cuda" or torch.cuda.is_available():
        instead = next(n for n, why in candidates if why is None)
    return RuntimeError(
        f"backend {name!r} can't run on {device_type} with {dtype}: "
        f"{reason}. Use backend={instead!r}, or backend='auto' for "
        "the fastest that can."
    )


def available_backends() -> dict[str, str]:
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
            loading.reason(name, device, torch.float32, ScanSpec())
            for device in devices
        ]
        found[name] = "ok" if None in reasons else reasons[-1]
    return found
