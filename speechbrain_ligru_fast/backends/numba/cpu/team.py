"""Runs a compiled function on the threads of torch's own OpenMP pool.

A second pool beside torch's would fight it for the cores: an OpenMP thread
spins for a while after its work. So the region is opened through the GNU
OpenMP entry points of the library that torch has loaded already.
"""

import ctypes
import functools

import torch

_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@functools.cache
def _openmp():
    """torch's OpenMP library, or None where it has no GNU interface."""
    for name in ("libgomp.so.1", "libiomp5.so", "libomp.so"):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        if hasattr(library, "GOMP_parallel"):
            return library
    return None


def _address(function):
    return ctypes.cast(function, ctypes.c_void_p).value


def size(wanted):
    """How many threads to use for work that is worth ``wanted`` of them."""
    if _openmp() is None:
        return 1
    return max(1, min(wanted, torch.get_num_threads()))


def rank_functions(threads):
    """Addresses of the C functions that tell a thread its rank and team size.

    0 for a single thread, which has no team.
    """
    if threads == 1:
        return 0, 0
    library = _openmp()
    return (
        _address(library.omp_get_thread_num),
        _address(library.omp_get_num_threads),
    )


def run(address, arguments, threads):
    """Calls the function at ``address`` on every thread of a team.

    Arguments
    ---------
    address : int
        A C function ``void f(void *arguments)``.
    arguments : int
        Address handed to it.
    threads : int
        Size of the team, 1 or more. OpenMP may give fewer.

    Raises
    ------
    ValueError
        For less than one thread: OpenMP would start as many as it likes,
        and there is memory for none.
    """
    if threads < 1:
        raise ValueError(f"threads: got {threads}, allowed are 1 and more")
    if threads == 1:
        _FUNCTION(address)(arguments)
        return
    _openmp().GOMP_parallel(
        ctypes.c_void_p(address),
        ctypes.c_void_p(arguments),
        ctypes.c_uint(threads),
        ctypes.c_uint(0),
    )
