"""When, where, from what and by which command a row was made."""

import datetime
import uuid

import torch

from speechbrain_ligru_fast.asr.provenance import (
    describe_command,
    describe_commit,
    describe_device,
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
        "torch": torch.__version__,
        "run": uuid.uuid4().hex[:12],
        "threads": torch.get_num_threads(),
        "command": describe_command(["-m", tool, *argv]),
    }
