"""Compiles the CUDA backend's kernels in parallel, before they are needed.

The checks alone need a hundred. They are kept in the backend's cache on disk.
"""

import contextlib
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from types import SimpleNamespace

import torch

from benchmarks.gpu import scans
from speechbrain_ligru_fast.backends import cuda
from speechbrain_ligru_fast.backends.cuda import build, cubins, launch
from speechbrain_ligru_fast.backends.cuda.plan import plan
from speechbrain_ligru_fast.backends.failures import CannotRun


class Recorder:
    """Stands in for launch.Machine: keeps what is asked for, runs nothing.

    Arguments
    ---------
    limits : Limits
        Of the device.
    """

    def __init__(self, limits):
        self.limits = limits
        self.asked = {}

    def kernel(self, hidden, rows, operand, backward, layernorm, macros):
        """As launch.Machine.kernel, without a kernel."""
        chosen = plan(hidden, rows, operand, self.limits, backward, layernorm)
        if chosen is None:
            raise CannotRun(f"H={hidden} fits no kernel")
        self.asked[chosen, macros] = None
        return chosen, None

    def launch(self, plan, kernel, arguments):
        """Runs nothing: the results are what memory held."""


@contextlib.contextmanager
def _recorded(recorder):
    before = cuda.launch
    cuda.launch = SimpleNamespace(machine=lambda device: recorder)
    try:
        yield
    finally:
        cuda.launch = before


def asked(trials, device, limits):
    """The kernels that scans need, forward and backward.

    Arguments
    ---------
    trials : iterable of Trial
        The scans.
    device : str
        Where their tensors are.
    limits : Limits
        Of the device to compile for.

    Returns
    -------
    list of tuple
        Plans and further macros, as pairs.
    """
    recorder = Recorder(limits)
    generator = torch.Generator().manual_seed(1)
    with _recorded(recorder):
        for trial in trials:
            scans.allow_tf32(trial.tf32)
            # As many steps as one ask for the same kernels.
            given = scans.draw(generator, **{**trial.options, "steps": 1})
            # The check says so.
            with contextlib.suppress(CannotRun):
                scans.run(given, "cuda", device, trial.operand, trial.io)
    return list(recorder.asked)


def _compile(plan, arch, macros):
    """Compiles one to the cache; returns what went wrong."""
    try:
        build.cubin(plan, arch, dict(macros))
    except Exception as error:
        return f"{plan.describe()}: {error!r}"
    return None


def compile_all(kernels, arch):
    """Compiles those that the cache lacks, on all processors.

    Arguments
    ---------
    kernels : list of tuple
        As ``asked`` returns them.
    arch : str
        Architecture.

    Returns
    -------
    errors : list of str
        Of those that can't be compiled.
    count : int
        How many were compiled.
    """
    folder = cubins.folder()
    lacking = [
        (plan, arch, macros)
        for plan, macros in kernels
        if folder is not None
        and not (folder / build.entry_name(plan, arch, dict(macros))).exists()
    ]
    if not lacking:
        return [], 0
    # Spawned: CUDA does not survive a fork.
    with ProcessPoolExecutor(
        min(len(lacking), os.cpu_count()),
        multiprocessing.get_context("spawn"),
    ) as pool:
        errors = [e for e in pool.map(_compile, *zip(*lacking)) if e]
    return errors, len(lacking) - len(errors)


def prepare(trials, device, note):
    """Compiles what scans will need; says how long that took.

    Arguments
    ---------
    trials : iterable of Trial
        The scans.
    device : str
        On a CPU, where the kernels are simulated, nothing is compiled.
    note : callable
        Takes a line.
    """
    if device == "cpu":
        return
    begin = time.monotonic()
    try:
        limits = launch.machine(torch.device("cuda")).limits
        errors, count = compile_all(asked(trials, device, limits), limits.arch)
    # Then each is compiled when it is needed.
    except Exception as error:
        errors, count = [repr(error)], 0
    for line in errors:
        note(f"not compiled: {line}")
    note(f"{count} kernels compiled in {time.monotonic() - begin:.1f} s")
