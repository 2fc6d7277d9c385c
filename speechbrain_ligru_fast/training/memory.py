"""Memory that one step frees is kept for the next."""

import ctypes
import os
import sys

# malloc.h of glibc: how much may lie free at the heap's end, and how many
# blocks may be mapped by themselves. What is mapped is never kept.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_MOST = 2**31 - 1
# By which a user decides.
_SETTINGS = ("MALLOC_", "GLIBC_TUNABLES")


def keep_freed_memory():
    """Has the C library keep what this process frees, if it is glibc.

    A step of training frees some hundred MiB and asks for them again. glibc
    gives large blocks back to the system, and each page of 4 KiB comes back
    by a fault, filled with zeros: about a tenth of a step's time on a CPU.
    The process uses no more memory at its peak, and keeps it to its end.

    Returns
    -------
    bool
        False, and nothing changed, where there is no such setting or where
        the environment has settings of its own.

    Example
    -------
    >>> keep_freed_memory() in (True, False)
    True
    """
    told = any(name.startswith(_SETTINGS) for name in os.environ)
    if sys.platform != "linux" or told:
        return False
    change = getattr(ctypes.CDLL(None), "mallopt", None)
    if change is None:
        return False
    done = [change(_M_TRIM_THRESHOLD, _MOST), change(_M_MMAP_MAX, 0)]
    return all(done)
