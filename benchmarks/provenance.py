"""When, where, from what and by which command a row was made."""

import datetime
import pathlib
import uuid

import torch
from speechbrain_ligru_fast.training.provenance import (
    describe_command,
    describe_commit,
    describe_device,
)

# What decides which kernels run, by Linux's name of it.
_VECTORS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX512-BF16",
    "amx_bf16": "AMX",
}


def describe_cpu(cpuinfo=pathlib.Path("/proc/cpuinfo")):
    """Which processor goes by a name that others may have, too.

    Example
    -------
    >>> file = getfixture("tmp_path") / "cpuinfo"
    >>> _ = file.write_text("cpu family : 6\\nmodel : 7\\nflags : fpu avx2\\n")
    >>> describe_cpu(file)
    'family 6 model 7, AVX2'
    """
    text = cpuinfo.read_text("utf-8") if cpuinfo.exists() else ""
    pairs = (line.partition(":")[::2] for line in text.splitlines())
    found = {key.strip(): value.strip() for key, value in pairs}
    if not {"cpu family", "model", "flags"} <= found.keys():
        return ""
    flags = found["flags"].split()
    units = " ".join(name for key, name in _VECTORS.items() if key in flags)
    return f"family {found['cpu family']} model {found['model']}, {units}"


def provenance(tool, argv, device="cpu"):
    """The cells that each row of one run begins with.

    Example
    -------
    >>> found = provenance("benchmarks.layers", ["--hidden", "8"])
    >>> found["command"], len(found["run"])
    ('python -m benchmarks.layers --hidden 8', 12)
    """
    now = datetime.datetime.now(datetime.UTC)
    return {
        "date": now.isoformat(timespec="seconds"),
        "commit": describe_commit(),
        "device": describe_device(device),
        "cpu": describe_cpu(),
        "torch": torch.__version__,
        "run": uuid.uuid4().hex[:12],
        "threads": torch.get_num_threads(),
        "command": describe_command(["-m", tool, *argv]),
    }
