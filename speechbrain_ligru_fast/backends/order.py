"""Which backends ``auto`` tries first on a GPU: the measured order.

``gpu_order.csv`` holds a row per GPU, model, precision and backend with its
time over the fastest one's. ``python -m benchmarks.order`` writes it from
benchmark rows; nobody types into it.
"""

import csv
import pathlib

import torch

from speechbrain_ligru_fast.spec import BACKENDS

TABLE = pathlib.Path(__file__).with_name("gpu_order.csv")
COLUMNS = ("device", "model", "dtype", "backend", "relative")
DTYPES = {
    torch.float64: "fp64",
    torch.float32: "fp32",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
}


def gpu_order(device, dtype, layernorm, tf32=False, table=TABLE):
    """Names of all backends, the fastest on a GPU first.

    What the table doesn't know comes last, in the order of
    ``spec.BACKENDS``.

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
        sorted(BACKENDS[1:], key=lambda name: measured.get(name, float("inf")))
    )
