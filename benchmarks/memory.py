"""Peak memory of one step, as the growth of the process's resident set.

Each measurement runs in a process of its own, forked from one that has only
imported libraries. There the step first runs with 2 frames, which loads
kernels and starts threads; free memory goes back to the system, so that none
of it can be taken again without growth; then the step runs once in full
between two readings of the kernel's counters, VmRSS before and VmHWM (its
high-water mark, reset before) after. Unlike a profiler's, this figure holds
what libraries take past torch's allocator. Model and input are not counted;
outputs, what is kept for the backward, temporaries and gradients are.
"""

import ctypes
import gc
import multiprocessing
import pathlib
from dataclasses import replace

_STATUS = pathlib.Path("/proc/self/status")
_CLEAR_REFS = pathlib.Path("/proc/self/clear_refs")
_RESET_PEAK = "5"

WARMUP_STEPS = 2


def _kilobytes(key):
    for line in _STATUS.read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    raise OSError(f"no {key} in {_STATUS}")


def growth(call):
    """Peak growth of this process's resident set during a call.

    Arguments
    ---------
    call : callable
        Called once; its result is kept until the reading.

    Returns
    -------
    float
        MiB.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    _CLEAR_REFS.write_text(_RESET_PEAK)
    before = _kilobytes("VmRSS")
    kept = call()
    peak = _kilobytes("VmHWM")
    del kept
    return (peak - before) / 1024


def _measure(connection, impl, case, threads):
    import torch

    from benchmarks.impls import warmup_calls
    from benchmarks.step import Step

    torch.set_num_threads(threads)
    step = Step(impl, case)
    short = Step(impl, replace(case, steps=WARMUP_STEPS))
    for _ in range(warmup_calls(impl)):
        short()
    del short
    connection.send(growth(step))


def peak_mb(impl, case, threads):
    """Peak extra memory of one step of a case, in a fresh process.

    Arguments
    ---------
    impl : str
        Implementation, as in benchmarks.impls.
    case : Case
        What is run.
    threads : int
        Threads of torch.

    Returns
    -------
    float
        MiB.

    Raises
    ------
    RuntimeError
        If the measuring process dies.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.step"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=_measure, args=(sender, impl, case, threads)
    )
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(
            f"memory of {impl} on {case.name}: the measuring process ended "
            f"with status {process.exitcode}"
        ) from None
    finally:
        process.join()


def can_measure():
    """Whether this system has Linux's counters and glibc's allocator."""
    return (
        _STATUS.exists()
        and _CLEAR_REFS.exists()
        and hasattr(ctypes.CDLL(None), "malloc_trim")
    )
