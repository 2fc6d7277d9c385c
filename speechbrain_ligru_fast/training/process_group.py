"""Joining and leaving the group of a training's processes."""

import gc
import os

import torch
from speechbrain.utils.distributed import (
    ddp_init_group,
    is_distributed_initialized,
)
from torch.nn.parallel import DistributedDataParallel


def count_processes():
    """How many processes torchrun has started, or one."""
    return int(os.environ.get("WORLD_SIZE", 1))


def join_process_group(run_opts):
    """Join, if torchrun started this process."""
    if torch.distributed.is_available():
        # DDP imports this. Its functions' default arguments keep the group
        # that exists by then, and so its threads, for good.
        from torch.distributed.nn import functional  # noqa: F401
    ddp_init_group(run_opts)


def leave_process_group(brain):
    """Leave, once a Brain has nothing more to communicate.

    A thread of gloo's may hold a tensor of the last communication. If it
    drops it while the interpreter ends, it aborts a process that has done
    everything. So the group's threads end here: they do once nothing refers
    to it.
    """
    if not is_distributed_initialized():
        return
    for name, module in brain.modules.items():
        if isinstance(module, DistributedDataParallel):
            brain.modules[name] = module.module
    torch.distributed.destroy_process_group()
    gc.collect()
