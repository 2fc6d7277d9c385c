"""Loads planned kernels on a device and launches them on torch's stream."""

import ctypes
import functools
import logging
from dataclasses import replace

import torch

from speechbrain_ligru_fast.backends.cuda import build
from speechbrain_ligru_fast.backends.cuda.plan import Limits, plan
from speechbrain_ligru_fast.backends.failures import (
    CannotRun,
    EarlierFailure,
    watch,
)
from speechbrain_ligru_fast.backends.rows import size_class

logger = logging.getLogger(__name__)

# Polls of one wait before a kernel gives up; each takes a fraction of a
# microsecond, so this is seconds.
SPINS = 1 << 23

_POINTERS = (
    "weights", "input", "h0", "mask", "lengths", "ln_weight", "ln_bias",
    "previous", "output", "gates", "normed", "rstd", "dgates", "dprojected",
    "dh0", "words", "stat_words", "error",
)  # fmt: skip


class Arguments(ctypes.Structure):
    """The kernels' argument, as in kernels/layout.cuh."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in _POINTERS),
        ("batch", ctypes.c_int),
        ("steps", ctypes.c_int),
        ("hidden", ctypes.c_int),
        ("directions", ctypes.c_int),
        ("groups", ctypes.c_int),
        ("ticket", ctypes.c_int),
        ("spins", ctypes.c_uint),
        ("eps", ctypes.c_float),
    ]


def checked(result):
    """The values of a driver call, or RuntimeError with its error."""
    from cuda.bindings import driver

    status, *values = result
    if status != driver.CUresult.CUDA_SUCCESS:
        _, name = driver.cuGetErrorName(status)
        _, text = driver.cuGetErrorString(status)
        raise RuntimeError(f"{name.decode()}: {text.decode()}")
    return values[0] if len(values) == 1 else values


def launch_config(plan, stream):
    """The driver's launch configuration of a plan."""
    from cuda.bindings import driver

    config = driver.CUlaunchConfig()
    config.gridDimX = plan.groups * plan.group
    config.gridDimY = config.gridDimZ = 1
    config.blockDimX = plan.threads
    config.blockDimY = config.blockDimZ = 1
    config.sharedMemBytes = plan.shared_bytes
    config.hStream = stream
    attribute = driver.CUlaunchAttribute()
    names = driver.CUlaunchAttributeID
    if plan.tier == "cluster":
        attribute.id = names.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
        attribute.value.clusterDim.x = plan.group
        attribute.value.clusterDim.y = attribute.value.clusterDim.z = 1
    else:
        # All CTAs at once, or an error: they wait for each other.
        attribute.id = names.CU_LAUNCH_ATTRIBUTE_COOPERATIVE
        attribute.value.cooperative = 1
    config.attrs = [attribute]
    config.numAttrs = 1
    return config


def _describe(launched):
    hidden, rows, plan = launched
    return f"H={hidden}, up to {rows} rows, {plan.describe()}"


class Machine:
    """One GPU: its limits, and the kernels loaded on it.

    Arguments
    ---------
    device : torch.device
        A CUDA device with an index.
    """

    def __init__(self, device):
        self.device = device
        properties = torch.cuda.get_device_properties(device)
        capability = (properties.major, properties.minor)
        # 16 is beyond what every device grants: _resident asks the driver.
        cluster = 16 if capability >= (9, 0) else 1
        self.limits = Limits(
            capability,
            properties.multi_processor_count,
            properties.shared_memory_per_block_optin,
            cluster,
        )
        self._kernels, self._functions = {}, {}
        # In the host's memory: read without waiting for the GPU.
        self._error = torch.zeros(1, dtype=torch.int32).pin_memory()
        # A name for each kind of launch: rows by their size class, any T.
        self._tickets = {}
        watch(self.check, device)

    def kernel(self, hidden, rows, operand, backward, layernorm, macros):
        """The plan for a scan and its loaded kernel.

        Arguments
        ---------
        hidden, rows, operand, backward, layernorm
            As in ``plan``.
        macros : tuple
            Further macros, as pairs.

        Returns
        -------
        plan : Plan
        function : CUfunction

        Raises
        ------
        CannotRun
            If no kernel holds this size, or the GPU can't hold the grid.
        """
        # One for all batches of a size class, of which there are few.
        rows = size_class(rows)
        key = hidden, rows, operand, backward, layernorm, macros
        if key not in self._kernels:
            with torch.cuda.device(self.device):
                self._kernels[key] = self._load(*key)
        return self._kernels[key]

    def _function(self, chosen, macros):
        """The loaded code of a plan, once for all plans that share it."""
        from cuda.bindings import driver

        code = frozenset({**chosen.macros(), **macros}.items())
        if code not in self._functions:
            arch = build.architecture(self.limits.capability)
            cubin = build.cubin(chosen, arch, macros)
            library = checked(
                driver.cuLibraryLoadData(cubin, [], [], 0, [], [], 0)
            )
            kernel = checked(driver.cuLibraryGetKernel(library, b"ligru_scan"))
            function = checked(driver.cuKernelGetFunction(kernel))
            self._functions[code] = function
        return self._functions[code]

    def _load(self, hidden, rows, operand, backward, layernorm, macros):
        while True:
            chosen = plan(
                hidden, rows, operand, self.limits, backward, layernorm
            )
            if chosen is None:
                raise CannotRun(
                    f"backend 'cuda': H={hidden} with {rows} rows in "
                    f"{operand} fits no kernel on {self._name()}"
                )
            function = self._function(chosen, dict(macros))
            resident = self._resident(chosen, function)
            if resident >= chosen.groups:
                logger.info("%s: %s", self._name(), chosen.describe())
                return chosen, function
            if chosen.tier == "grid":
                raise CannotRun(
                    f"backend 'cuda': {self._name()} can't hold at once "
                    + chosen.describe()
                )
            # Fewer than the processors would allow: plan with that.
            known = (*self.limits.resident, (chosen.group, resident))
            self.limits = replace(self.limits, resident=known)

    def _resident(self, chosen, function):
        """Groups that the driver says can run at once."""
        from cuda.bindings import driver

        names = driver.CUfunction_attribute

        def allow(name, value):
            checked(driver.cuFuncSetAttribute(function, name, value))

        allow(
            names.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
            chosen.shared_bytes,
        )
        if chosen.tier == "cluster":
            allow(names.CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1)
            status, clusters = driver.cuOccupancyMaxActiveClusters(
                function, launch_config(chosen, 0)
            )
            # An error here means that no such cluster exists.
            granted = status == driver.CUresult.CUDA_SUCCESS
            return clusters if granted else 0
        blocks = checked(
            driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(
                function, chosen.threads, chosen.shared_bytes
            )
        )
        return blocks * self.limits.processors // chosen.group

    def _name(self):
        return f"{torch.cuda.get_device_name(self.device)} ({self.device})"

    def launch(self, plan, function, arguments):
        """Launches on torch's current stream.

        Arguments
        ---------
        plan, function
            What ``kernel`` returned.
        arguments : Arguments
            Filled but for error, ticket and spins.

        Raises
        ------
        RuntimeError
            If the driver refuses.
        EarlierFailure
            If an earlier kernel gave up waiting.
        """
        from cuda.bindings import driver

        self.check()
        rows = size_class(arguments.directions * arguments.batch)
        launched = arguments.hidden, rows, plan
        arguments.ticket = self._tickets.setdefault(
            launched, len(self._tickets) + 1
        )
        arguments.error = self._error.data_ptr()
        arguments.spins = SPINS
        pointers = (ctypes.c_void_p * 1)(ctypes.addressof(arguments))
        with torch.cuda.device(self.device):
            stream = torch.cuda.current_stream().cuda_stream
            try:
                checked(
                    driver.cuLaunchKernelEx(
                        launch_config(plan, stream),
                        function,
                        ctypes.addressof(pointers),
                        0,
                    )
                )
            except RuntimeError as error:
                raise RuntimeError(
                    f"backend 'cuda' on {self._name()}: "
                    f"{_describe(launched)}: {error}"
                ) from error

    def check(self):
        """Raises EarlierFailure if a finished kernel gave up waiting."""
        ticket = int(self._error[0])
        if ticket == 0:
            return
        self._error.zero_()
        launches = {number: key for key, number in self._tickets.items()}
        raise EarlierFailure(
            f"backend 'cuda' on {self._name()}: a CTA waited too long for "
            f"the others and gave up; its output is NaN: "
            f"{_describe(launches[ticket])}"
        )


@functools.cache
def _machine(index):
    return Machine(torch.device("cuda", index))


def machine(device):
    """The Machine of a tensor's device."""
    index = device.index
    return _machine(torch.cuda.current_device() if index is None else index)
