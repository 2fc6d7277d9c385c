"""What ``auto`` picks: the fastest backend that can run.

On a GPU that is the measured order: ``gpu_order.csv`` holds a row per GPU,
model, precision and backend with its time over the fastest one's.
``python -m benchmarks.order`` writes it from benchmark rows; nobody types
into it.
"""

import csv
import logging
import pathlib

import torch

from speechbrain_ligru_fast.backends import loading
from speechbrain_ligru_fast.backends.failures import Broken, warn_of_broken
from speechbrain_ligru_fast.backends.spec import TRIED_ON

logger = logging.getLogger(__name__)

# Steps below which packing weights for a compiled loop saves little or costs
# more than the loop saves, on a CPU (docs/results.md).
SHORT = 4

TABLE = pathlib.Path(__file__).with_name("gpu_order.csv")
COLUMNS = ("device", "model", "dtype", "backend", "relative")
DTYPES = {
    torch.float64: "fp64",
    torch.float32: "fp32",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
}


def tried_on(device_type):
    """Names of the backends that ``auto`` asks, and so imports, in order.

    Example
    -------
    >>> tried_on("cpu")[0]
    'numba'
    """
    return tuple(
        name
        for name, devices in TRIED_ON.items()
        if not devices or device_type in devices
    )


def gpu_order(device, dtype, layernorm, tf32=False, table=TABLE):
    """Names of the backends for a GPU, the fastest on it first.

    What the table doesn't know comes last, in the order of
    ``spec.TRIED_ON``.

    Arguments
    ---------
    device : str
        The GPU's name, as torch.cuda.get_device_name() says it.
    dtype : torch.dtype
        dtype of the recurrent weights.
    layernorm : bool
        True for SLiGRU.
    tf32 : bool
        Whether float32 products may be TF32.
    table : Path
        A CSV file with the columns ``COLUMNS``.

    Returns
    -------
    tuple

    Example
    -------
    >>> gpu_order("a GPU that nobody has measured", torch.float32, False)
    ('cuda', 'triton', 'numba', 'torchscript', 'reference')
    """
    precision = DTYPES.get(dtype)
    if tf32 and precision == "fp32":
        precision = "tf32"
    wanted = (device, "SLiGRU" if layernorm else "LiGRU", precision)
    with open(table, newline="") as file:
        measured = {
            row["backend"]: float(row["relative"])
            for row in csv.DictReader(file)
            if (row["device"], row["model"], row["dtype"]) == wanted
        }
    return tuple(
        sorted(
            tried_on("cuda"),
            key=lambda name: measured.get(name, float("inf")),
        )
    )


def by_speed(device_type, dtype, spec, short, tf32):
    """Yields backends, the fastest first, and why ``auto`` can't take them.

    ``torchscript`` and ``reference`` run everywhere.
    """
    candidates = tried_on(device_type)
    if device_type == "cuda":
        candidates = gpu_order(
            torch.cuda.get_device_name(), dtype, spec.layernorm, tf32
        )
    for candidate in candidates:
        if candidate == "numba" and device_type == "cpu" and short:
            reason = f"fewer than {SHORT} steps don't repay packing"
        else:
            reason = loading.reason(candidate, device_type, dtype, spec)
        if reason is None:
            passed_over = getattr(loading.load(candidate), "passed_over", None)
            reason = passed_over and passed_over(device_type)
        yield candidate, reason


def pick(device_type, dtype, spec, short, tf32, refused=()):
    """The module of the fastest backend that can run and isn't refused."""
    slower = []
    for candidate, reason in by_speed(device_type, dtype, spec, short, tf32):
        if candidate in refused:
            continue
        if reason is not None:
            slower.append((candidate, reason))
            continue
        logger.info(
            "LiGRU backend on %s with %s%s: %s%s",
            device_type,
            dtype,
            ", products in TF32" * tf32,
            candidate,
            "".join(f"; not {n}: {why}" for n, why in slower),
        )
        for broken, why in slower:
            if isinstance(why, Broken):
                warn_of_broken(broken, why, device_type, candidate)
        return loading.load(candidate)
    raise AssertionError("the reference backend runs everywhere")
