"""Failures of a backend, and which of them another backend can mend."""

import atexit
import logging

import torch

logger = logging.getLogger(__name__)

_ADVICE = {
    "numba": (
        "Mend what `python -c 'import numba'` shows (often NumPy is newer "
        "than this Numba takes: pip install --upgrade numba)"
    ),
}
REPORT = (
    "please report this line, with what `python -m speechbrain_ligru_fast` "
    "prints, as an issue"
)
_said = set()


def warn(message, key=None):
    # Once for all sizes of a model, where a key says what they share.
    key = key or message
    if key not in _said:
        _said.add(key)
        logger.warning(message)


class CannotRun(RuntimeError):
    """A backend can't run a scan of this size on this device.

    Raised by ``scan_forward`` or ``scan_backward`` before they start, for
    what ``unavailable`` can't know.
    """


class EarlierFailure(RuntimeError):
    """The results of an earlier scan are wrong, whatever runs this one."""


class Broken(str):
    """A reason why a backend can't run that is an error's.

    Nobody chose it: it is said aloud where it makes ``auto`` slower.
    """


def mendable(error, device):
    """Whether another backend may succeed where one raised ``error``.

    Arguments
    ---------
    error : Exception
        What the backend raised.
    device : torch.device
        Where it ran.

    Returns
    -------
    bool
        False for a lack of memory, which is for the caller to know of, for
        results that are lost already, and for what leaves a GPU unusable,
        as an illegal address does: all that follows fails too.
    """
    if isinstance(error, CannotRun):
        return True
    if isinstance(error, (EarlierFailure, torch.OutOfMemoryError)):
        return False
    # torch has no type for it on a CPU.
    if "DefaultCPUAllocator" in str(error):
        return False
    return is_alive(device)


def is_alive(device):
    """Whether a GPU still does what it is asked; a CPU always does."""
    if device.type != "cuda":
        return True
    # Waiting would end the capture; the next backend says if it has ended.
    if torch.cuda.is_current_stream_capturing():
        return True
    try:
        torch.cuda.synchronize(device)
    except RuntimeError:
        return False
    return True


def watch(check, device):
    """Has what a backend's kernels left looked at when the program ends.

    Until then each launch looks at what the one before has left: nothing comes
    after the last.

    Arguments
    ---------
    check : callable
        Raises EarlierFailure.
    device : torch.device
        Where they ran.
    """
    atexit.register(_check_last, check, device)


def _check_last(check, device):
    try:
        if is_alive(device):  # Waits for the GPU.
            check()
    except EarlierFailure as error:
        logger.error("%s", error)


class Refused:
    """Backends that failed, by the kind of scan that they failed at.

    A size that doesn't fit is remembered for that number of rows, any other
    failure for all of them: neither is tried, at its cost, in every step.
    """

    def __init__(self):
        self._names = {}

    def __bool__(self):
        return bool(self._names)

    @staticmethod
    def _kinds(device, dtype, spec, hidden, rows):
        kind = device, dtype, spec, hidden
        return kind, (*kind, rows)

    def names(self, *scan):
        """Names of what failed.

        Arguments
        ---------
        *scan
            Device, dtype, ScanSpec, hidden units and rows.

        Returns
        -------
        tuple
        """
        return sum((self._names.get(k, ()) for k in self._kinds(*scan)), ())

    def add(self, name, error, instead, *scan):
        """Remembers and says that a backend failed.

        Arguments
        ---------
        name : str
            The backend.
        error : Exception
            What it raised.
        instead : str
            The backend that has run the scan.
        *scan
            As in ``names``.
        """
        whole, exact = self._kinds(*scan)
        kind = exact if isinstance(error, CannotRun) else whole
        self._names[kind] = (*self._names.get(kind, ()), name)
        if kind is exact:
            warn(f"{error}; taking backend {instead!r}")
            return
        device, dtype, spec, hidden, rows = scan
        warn(
            f"backend {name!r} failed on {device} with {dtype}, H={hidden}, "
            f"{rows} rows, {spec}: {type(error).__name__}: {error}; taking "
            f"backend {instead!r} from now on: {REPORT}",
            key=(name, type(error)),
        )
        logger.debug("backend %r failed", name, exc_info=error)


def warn_of_broken(name, reason, device_type, instead):
    """Says that a backend can't run which nobody chose to do without.

    Arguments
    ---------
    name : str
        The backend.
    reason : Broken
        Why.
    device_type : str
        Where.
    instead : str
        The backend that is taken.
    """
    advice = _ADVICE.get(name, f"If it should, {REPORT}")
    reason = reason.rstrip(".")
    warn(
        f"backend {name!r} can't run on {device_type}, and {instead!r} is "
        f"slower: {reason}. {advice}; backend={instead!r} says nothing of it."
    )
