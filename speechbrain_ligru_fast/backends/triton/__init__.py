"""The portable GPU backend: Triton kernels for NVIDIA and AMD.

The contract of the two functions is in backends/reference.py, how they work
in docs/reference/kernels.md.
"""

import collections
import contextlib
import functools
import itertools
import os
import pathlib
import shutil
import sysconfig

import torch
import triton
from triton.runtime.errors import OutOfResources, PTXASError

from speechbrain_ligru_fast.backends.failures import (
    CannotRun,
    EarlierFailure,
    watch,
)
from speechbrain_ligru_fast.backends.rows import size_class
from speechbrain_ligru_fast.backends.triton.backward import backward_kernel
from speechbrain_ligru_fast.backends.triton.cache_folder import with_folder
from speechbrain_ligru_fast.backends.triton.device import COUNTER_STRIDE
from speechbrain_ligru_fast.backends.triton.forward import forward_kernel
from speechbrain_ligru_fast.backends.triton.graphs import replays
from speechbrain_ligru_fast.backends.triton.plan import Device, plan
from speechbrain_ligru_fast.products.precision import tf32_allowed

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# How often a program looks at a barrier before it gives up. A look takes
# most of a microsecond, a step a few: this is for a program that never runs.
SPIN_LIMIT = 1 << 23


def interpreting():
    """Whether kernels run in Triton's interpreter, on the CPU."""
    return not isinstance(forward_kernel, triton.runtime.JITFunction)


def unavailable(device_type, dtype, spec):
    """None, or the reason why a scan can't run here."""
    if dtype not in DTYPES:
        return f"its kernels compute in float32 at most, not in {dtype}"
    if device_type == "cpu":
        if interpreting():
            return None
        return "its kernels run on a GPU only"
    if device_type != "cuda":
        return f"its kernels don't run on {device_type}"
    if torch.version.hip is None:
        major, minor = torch.cuda.get_device_capability()
        if major < 8:
            return (
                f"it needs a GPU of compute capability 8.0 or more, this is "
                f"{major}.{minor}"
            )
    return _missing_compiler()


def _missing_compiler():
    """None, or what Triton lacks to build the C code of a launch."""
    # Triton 3.3, which torch 2.7 comes with, has none.
    knobs = getattr(triton, "knobs", None)
    if knobs is not None and knobs.build.impl is not None:
        return None
    if not (
        os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    ):
        return "Triton needs a C compiler: there is no gcc, clang or $CC"
    # Debian's own scheme names folders of /usr/local, where there are none.
    scheme = sysconfig.get_default_scheme().replace("_local", "_prefix")
    header = pathlib.Path(sysconfig.get_paths(scheme)["include"], "Python.h")
    if not (header.exists() or os.environ.get("CPATH")):
        return f"Triton needs Python's headers: there is no {header}"
    return None


@functools.cache
def _describe(device):
    """The Device that ``plan`` asks for."""
    if device.type == "cpu":
        return Device()
    found = torch.cuda.get_device_properties(device)
    if torch.version.hip:
        return Device(found.multi_processor_count, 64 * 1024, amd=True)
    return Device(
        found.multi_processor_count, found.shared_memory_per_block_optin
    )


class _Failures:
    """Launches whose barrier was given up, noticed without waiting for them.

    The kernels write the number of a failed launch to host memory that is
    looked at before the next launch. Until then the results are NaN.
    """

    def __init__(self, device):
        self.flag = torch.zeros(1, dtype=torch.int32)
        if device.type == "cuda":
            self.flag = self.flag.pin_memory()
        self.numbers = itertools.count(1)
        self.recent = collections.deque(maxlen=64)
        watch(self.check, device)

    def launch(self, what):
        """A new launch's number; raises if an earlier one failed."""
        self.check()
        number = next(self.numbers) & 0x7FFFFFFF
        self.recent.append((number, what))
        return number

    def check(self):
        """Raises EarlierFailure if a launch has failed."""
        number = int(self.flag[0])
        if number == 0:
            return
        self.flag.zero_()
        what = dict(self.recent).get(number, "an earlier launch")
        raise EarlierFailure(
            f"triton backend: {what} was given up, because its programs "
            "waited in vain for each other; its results are NaN. Is the GPU "
            "shared? backend='torchscript' has no such barrier."
        )


_failures = functools.cache(_Failures)


def _precision(dtype, device):
    """tf32 where torch's own products may be, which SpeechBrain sees to."""
    if dtype != torch.float32 or device.type == "cpu" or torch.version.hip:
        return "ieee"
    return "tf32" if tf32_allowed() else "ieee"


def _phases(persistent, layernorm):
    """(MULTIPLY, UPDATE) of each launch of a step."""
    if persistent or not layernorm:
        return ((True, True),)
    return ((True, False), (False, True))


def _run(
    kernel, spec, arguments, results, hidden, shape, last, how, **numbers
):  # fmt: skip
    """Launches a kernel for iterations 0 to ``last - 1`` of all rows.

    ``arguments`` are its tensors by name, of which ``results`` are computed;
    ``shape`` is (utterances, steps), ``numbers`` what this kernel alone takes.
    """
    batch, steps = shape
    device, dtype = arguments["u"].device, arguments["u"].dtype
    failures = _failures(device)
    groups = -(-batch * spec.directions // how.block_rows)
    tiles = how.tiles(hidden)
    name = kernel.__name__
    launch = failures.launch(
        f"{name} with {batch} utterances, {steps} steps, {hidden} units, "
        f"{spec.directions} directions, {dtype} on {device}"
    )
    precision = _precision(dtype, device)
    tensors = dict(
        arguments,
        counters=torch.zeros(
            groups * COUNTER_STRIDE.value, dtype=torch.int32, device=device
        ),
    )
    options = dict(
        numbers,
        batch=batch,
        steps=steps,
        failure=failures.flag,
        launch=launch,
        spin_limit=SPIN_LIMIT,
        HIDDEN=hidden,
        DIRECTIONS=spec.directions,
        NONLINEARITY=spec.nonlinearity,
        LAYERNORM=spec.layernorm,
        PRECISION=precision,
        BLOCK_ROWS=how.block_rows,
        BLOCK_UNITS=how.block_units,
        SPLITS=how.splits,
        BLOCK_K=how.block_k,
        RESIDENT=how.resident,
        PERSISTENT=how.persistent,
        num_warps=how.splits,
        num_stages=1,
        # From Triton 3.10 on, products and sums stay apart unless asked for.
        enable_fp_fusion=True,
    )
    if torch.version.hip is None:
        # Else ptxas spills a few registers, so that two programs fit on a
        # multiprocessor; there is one.
        options["maxnreg"] = 255
    if how.persistent:
        options["launch_cooperative_grid"] = True
        ranges = [(0, last)]
    else:
        ranges = [(i, i + 1) for i in range(last)]
    phases = _phases(how.persistent, spec.layernorm)
    order = list(
        itertools.product(range(0, groups, how.groups), ranges, phases)
    )

    def launch_all(tensors):
        try:
            launch_each(tensors)
        # Before anything runs: the first launch compiles for all.
        except (OutOfResources, PTXASError) as error:
            raise CannotRun(
                f"triton backend: no {name} for {hidden} units with {dtype} "
                f"on {device}: {error}"
            ) from error

    def launch_each(tensors):
        for first_group, (first, end), (multiply, update) in order:
            grid = (min(how.groups, groups - first_group) * tiles,)
            with_folder(
                kernel[grid],
                first=first,
                last=end,
                first_group=first_group,
                MULTIPLY=multiply,
                UPDATE=update,
                **tensors,
                **options,
            )

    if how.persistent:
        launch_all(tensors)
    else:
        kind = (name, spec, how, precision, steps)
        replays.run(kind, tensors, results, launch_all, len(order))


def _guard(device):
    """Triton launches on the current device."""
    if device.type == "cpu":
        return contextlib.nullcontext()
    return torch.cuda.device(device)


def _like(x, dtype=None):
    """x as the kernels read it, or None."""
    return None if x is None else x.to(dtype or x.dtype).contiguous()


def _workspaces(spec, how, rows, hidden, device):
    """What SLiGRU's programs exchange: products and moments, or None."""
    if not spec.layernorm:
        return None, None
    real = dict(dtype=torch.float32, device=device)
    moments = torch.empty(2, rows, how.tiles(hidden), **real)
    if how.persistent:
        return None, moments
    return torch.empty(rows, 2 * hidden, **real), moments


def scan_forward(spec, w, u, h0, mask, lengths, ln_weight, ln_bias, save):
    """See backends/reference.py."""
    batch, steps, width = w.shape
    hidden, d, device = width // 2, spec.directions, w.device
    rows = d * batch
    how = plan(
        _describe(device), hidden, size_class(rows), u.dtype.itemsize, steps
    )
    real = dict(dtype=torch.float32, device=device)
    # Frames past an utterance's end are never visited.
    make = torch.empty if lengths is None else torch.zeros
    keep = save and spec.layernorm
    output = make(batch, steps, d * hidden, dtype=w.dtype, device=device)
    gates = make(d, batch, steps, width, **real) if save else None
    normed = make(d, batch, steps, width, **real) if keep else None
    rstd = make(d, batch, steps, **real) if keep else None
    exchange = torch.empty(2, rows, hidden, dtype=u.dtype, device=device)
    if h0 is None:
        state = torch.zeros(rows, hidden, **real)
        exchange[0].zero_()
    else:
        state = h0.to(torch.float32, copy=True).contiguous()
        exchange[0].copy_(h0)
    products, moments = _workspaces(spec, how, rows, hidden, device)
    arguments = dict(
        w=_like(w),
        u=_like(u),
        mask=_like(mask, torch.float32),
        lengths=_like(lengths),
        ln_weight=_like(ln_weight, torch.float32),
        ln_bias=_like(ln_bias, torch.float32),
        output=output,
        gates=gates,
        normed=normed,
        rstd=rstd,
        state=state,
        exchange=exchange,
        products=products,
        moments=moments,
    )
    if output.numel() > 0:
        with _guard(device):
            _run(
                forward_kernel, spec, arguments,
                ("output", "gates", "normed", "rstd"), hidden, (batch, steps),
                steps, how, eps=spec.eps,
            )  # fmt: skip
    none = torch.empty(0, **real)
    return (
        output,
        gates if save else none,
        normed if keep else none.clone(),
        rstd if keep else none.clone(),
    )


def scan_backward(
    spec, grad, previous, gates, normed, rstd, u, mask, lengths, ln_weight,
    needs_dh0=True, apart=True,
):  # fmt: skip
    """See backends/reference.py."""
    d, batch, steps, width = gates.shape
    hidden, device = width // 2, grad.device
    rows = d * batch
    how = plan(
        _describe(device), hidden, size_class(rows), u.dtype.itemsize,
        steps + 1, backward=True,
    )  # fmt: skip
    real = dict(dtype=torch.float32, device=device)
    make = torch.empty if lengths is None else torch.zeros
    dgates = make(d, batch, steps, width, **real)
    dprojected = None
    if spec.layernorm:
        dprojected = make(d, batch, steps, width, **real)
    carry = torch.zeros(rows, hidden, **real)
    exchange = torch.empty(2, rows, width, dtype=u.dtype, device=device)
    exchange[0].zero_()
    _, moments = _workspaces(spec, how, rows, hidden, device)
    arguments = dict(
        grad=_like(grad),
        previous=_like(previous),
        gates=_like(gates),
        normed=_like(normed) if spec.layernorm else None,
        rstd=_like(rstd) if spec.layernorm else None,
        u=_like(u),
        mask=_like(mask, torch.float32),
        lengths=_like(lengths),
        ln_weight=_like(ln_weight, torch.float32),
        dgates=dgates,
        dprojected=dprojected,
        state=carry,
        exchange=exchange,
        moments=moments,
    )
    if dgates.numel() > 0:
        with _guard(device):
            _run(
                backward_kernel, spec, arguments,
                ("dgates", "dprojected", "state"), hidden, (batch, steps),
                steps + 1, how,
            )  # fmt: skip
    return dgates, dprojected if spec.layernorm else dgates, carry
