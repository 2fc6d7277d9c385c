"""When, where, from what and by which command a row was made."""

import datetime
import pathlib
import uuid

import torch

from speechbrain_ligru_fast.asr.provenance import (
    describe_command,
    describe_commit,
    describe_device,
)

_CPUINFO = pathlib.Path("/proc/cpuinfo")
# What decides which kernels run, by Linux's name of it.
_VECTORS = {"avx2": "AVX2", "avx512f": "AVX-512", "amx_bf16": "AMX"}


def describe_cpu(cpuinfo=_CPUINFO):
    """Which processor goes by a name that others may have, too.

    Arguments
    ---------
    cpuinfo : pathlib.Path
        Linux's description.

    Returns
    -------
    str
        Family, model and vector units; empty where they are not told.

    Example
    -------
    >>> file = getfixture("tmp_path") / "cpuinfo"
    >>> _ = file.write_text(
    ...     "cpu family : 6\\nmodel : 207\\nflags : fpu avx2 avx512f\\n"
    ... )
    >>> describe_cpu(file)
    'family 6 model 207, AVX2 AVX-512'
    """
    if not cpuinfo.exists():
        return ""
    pairs = (
        line.partition(":")[::2]
        for line in cpuinfo.read_text(encoding="utf-8").splitlines()
    )
    found = {key.strip(): value.strip() for key, value in pairs}
    if not {"cpu family", "model", "flags"} <= found.keys():
        return ""
    flags = found["flags"].split()
    vectors = " ".join(name for key, name in _VECTORS.items() if key in flags)
    return ", ".join(
        filter(
            None,
            [f"family {found['cpu family']} model {found['model']}", vectors],
        )
    )


def provenance(tool, argv, device="cpu"):
    """The cells that each row of a benchmark begins with.

    Call it once a run: its rows share the run's name.

    Arguments
    ---------
    tool : str
        Module that was run, for ``python -m``.
    argv : list of str
        Its command line.
    device : str
        ``cpu`` or ``cuda``.

    Returns
    -------
    dict

    Example
    -------
    >>> found = provenance("benchmarks.run", ["--quick"])
    >>> found["command"], len(found["run"])
    ('python -m benchmarks.run --quick', 12)
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
