"""Runs the CUDA backend on a CPU: its kernels, compiled by g++.

The kernels' source is the product's; tests/simt stands in for the GPU. See
tests/simt/simt.hpp.
"""

import contextlib
import ctypes
import functools
import pathlib
import subprocess
import tempfile
import unittest.mock

import torch

from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.backends import cuda
from speechbrain_ligru_fast.backends.cuda import build
from speechbrain_ligru_fast.backends.cuda.plan import Limits, Plan, plan
from speechbrain_ligru_fast.backends.failures import CannotRun
from speechbrain_ligru_fast.backends.spec import TRIED_ON

SIMT = pathlib.Path(__file__).parent / "simt"
# These only choose a branch: one compiled kernel serves all their values.
RUNTIME = ("ACTIVATION",)
SPINS = 1 << 20
TICKET = 7

# A GPU with room for little, so that small sizes use every path.
LIMITS = Limits((9, 0), 6, 49152, 4)


FLAGS = """-std=c++17 -O1 -shared -fPIC -fno-strict-aliasing -Wall
    -Wno-unknown-pragmas -Wno-unused-variable -Wno-sign-compare""".split()


def translate(text):
    """A kernel's text with the stand-in in place of device.cuh."""
    device = build.KERNELS.joinpath("device.cuh").read_text()
    device = device.replace("#pragma once\n", "")
    assert text.count(device) == 1
    text = text.replace(device, '#include "simt.hpp"\n')
    return text + '#include "scheduler.hpp"\n'


@functools.cache
def compile_kernel(text, macros):
    """A loaded kernel: its run function and its runtime macros by name."""
    head = "".join(
        f"int {name}_;\n" if name in RUNTIME else f"#define {name} {value}\n"
        for name, value in macros
    )
    head += "".join(f"#define {name} {name}_\n" for name in RUNTIME)
    # A library that is loaded needs its file no more.
    with tempfile.TemporaryDirectory(prefix="ligru-simt-") as folder:
        path = pathlib.Path(folder) / "kernel.so"
        source = path.with_suffix(".cpp")
        source.write_text(head + translate(text))
        command = ["g++", *FLAGS, f"-I{SIMT}", source, "-o", path]
        subprocess.run(command, check=True)
        library = ctypes.CDLL(str(path))
    library.simt_run.restype = ctypes.c_char_p
    return library


class Shim:
    """Stands in for launch.Machine.

    ``limits`` are the pretended device's, ``plans`` fields to force on every
    plan in place of what ``plan`` chooses, ``seed`` is the schedule's, each
    launch taking the next, and ``edit`` plants a mistake in a kernel's text.
    """

    def __init__(self, limits=LIMITS, plans=None, seed=0, edit=str):
        self.limits, self.plans = limits, plans
        self.seed, self.edit = seed, edit
        self.spins = SPINS
        # False: a launch that gave up is only noted, as on a GPU.
        self.strict = True
        self.error = 0
        self.used = []

    def machine(self, device):
        """As launch.machine, so that a shim can take that module's place."""
        return self

    def kernel(self, hidden, rows, operand, backward, layernorm, macros):
        """As launch.Machine.kernel."""
        if self.plans is None:
            kind = operand, self.limits, backward, layernorm
            chosen = plan(hidden, rows, *kind)
            if chosen is None:
                raise CannotRun(f"H={hidden} fits no kernel here")
        else:
            fields = {"held": 0, "kept": 0, **self.plans}
            fields.setdefault("group", -(-hidden // fields["units"]))
            kind = dict(operand=operand, backward=backward, layernorm=layernorm)
            chosen = Plan(**kind, **fields)
        macros = {**chosen.macros(), **dict(macros)}
        runtime = {name: macros[name] for name in RUNTIME}
        macros.update(dict.fromkeys(RUNTIME, 0))
        text = self.edit(build.source(backward))
        return chosen, (text, tuple(macros.items()), runtime)

    def launch(self, plan, kernel, arguments):
        """As launch.Machine.launch; raises what the simulation found."""
        text, macros, runtime = kernel
        library = compile_kernel(text, macros)
        for name, value in runtime.items():
            ctypes.c_int.in_dll(library, f"{name}_").value = value
        error = ctypes.c_int(0)
        arguments.error = ctypes.addressof(error)
        arguments.ticket = TICKET
        arguments.spins = self.spins
        failure = library.simt_run(
            ctypes.byref(arguments), plan.groups * plan.group, self.seed
        )
        self.seed += 1
        self.used.append(plan)
        if failure is not None:
            raise RuntimeError(failure.decode())
        self.error = error.value
        if error.value and self.strict:
            raise RuntimeError(f"gave up with ticket {error.value}")


@contextlib.contextmanager
def installed(shim, precision="ieee"):
    """Makes backend="cuda" run on CPU tensors through a shim.

    ``precision`` is torch's for float32 products on a GPU, ieee or tf32.
    """
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    patch = unittest.mock.patch
    with (
        patch.multiple(cuda, unavailable=lambda *_: None, launch=shim),
        patch.dict(TRIED_ON, dict.fromkeys(TRIED_ON, ("cpu",))),
    ):
        backends._choose.cache_clear()
        matmul.fp32_precision = precision
        try:
            yield shim
        finally:
            matmul.fp32_precision = before
            backends._choose.cache_clear()
