"""Failures of a backend, and which of them another backend can mend."""

import torch


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
    return device.type != "cuda" or _is_alive(device)


def _is_alive(device):
    """Whether a GPU still does what it is asked."""
    # Waiting would end the capture; the next backend says if it has ended.
    if torch.cuda.is_current_stream_capturing():
        return True
    try:
        torch.cuda.synchronize(device)
    except RuntimeError:
        return False
    return True


class Refused:
    """Backends that failed, by the kind of scan that they failed at.

    A size that doesn't fit is remembered for that number of rows, any other
    failure for all of them: neither is tried, at its cost, in every step.
    """

    def __init__(self):
        self._names = {}

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
        if not self._names:
            return ()
        return sum((self._names.get(k, ()) for k in self._kinds(*scan)), ())

    def add(self, name, error, *scan):
        """Remembers a backend's failure at a scan, given as to ``names``."""
        whole, exact = self._kinds(*scan)
        kind = exact if isinstance(error, CannotRun) else whole
        self._names[kind] = (*self._names.get(kind, ()), name)
