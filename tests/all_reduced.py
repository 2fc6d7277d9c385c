"""A batch norm with the statistics of two processes, here of two threads.

torch's SyncBatchNorm communicates on GPUs only.
"""

import concurrent.futures
import copy
import threading

import torch
from torch import nn

BATCH, STEPS, FEATURES = 5, 7, 3
# The first process has 1 and the second 4 utterances.
PARTS = slice(0, 1), slice(1, BATCH)
# Seconds until who waits for the other gives up.
PATIENCE = 60


class Group:
    """Sums what as many threads as there are parts each bring."""

    def __init__(self):
        self._brought = [None] * len(PARTS)
        self.all_are_here = threading.Barrier(len(PARTS), timeout=PATIENCE)

    def total(self, rank, tensor):
        """The sum, once all have brought their tensors."""
        self._brought[rank] = tensor
        self.all_are_here.wait()
        total = sum(self._brought)
        # Nobody brings the next one before all have this sum.
        self.all_are_here.wait()
        return total


class AllReduce(torch.autograd.Function):
    """A sum over the threads, of gradients too."""

    @staticmethod
    def forward(ctx, tensor, group, rank):
        ctx.sums = group, rank
        return group.total(rank, tensor)

    @staticmethod
    def backward(ctx, grad):
        group, rank = ctx.sums
        return group.total(rank, grad), None, None


def normalise(norm, rows):
    """What a SyncBatchNorm makes of (N, C), over the rows of all threads."""

    def total(part):
        return AllReduce.apply(part, norm.group, norm.rank)

    n = total(torch.tensor(float(len(rows)), dtype=rows.dtype))
    mean = total(rows.sum(0)) / n
    var = total((rows - mean).square().sum(0)) / n
    with torch.no_grad():
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(var * n / (n - 1), norm.momentum)
    scale = torch.rsqrt(var + norm.eps) * norm.weight
    return (rows - mean) * scale + norm.bias


def run(layer, part):
    """Of a part of the batch: output, gradient, statistics; of parameters."""
    g = torch.Generator().manual_seed(7)
    shape = (BATCH, STEPS, FEATURES)
    x = torch.randn(shape, generator=g, dtype=torch.float64)[part]
    lengths = torch.tensor([0.3, 1.0, 0.6, 0.5, 0.9])[part]
    # What is padding must not count.
    for row, frames in zip(x, (lengths * STEPS).round().int().tolist()):
        row[frames:] = 1e3
    out, _ = layer(x.requires_grad_(), lengths=lengths)
    out.square().sum().backward()
    norm = layer.rnn[0].norm
    statistics = norm.running_mean, norm.running_var
    return (out.detach(), x.grad, *statistics), [
        p.grad for p in layer.parameters()
    ]


def run_parts(layer):
    """What ``run`` returns of each part, all at once, in copies of a layer.

    ``normalise`` must be in the place of ``SyncBatchNorm.forward``.
    """
    layer, group = nn.SyncBatchNorm.convert_sync_batchnorm(layer), Group()
    copies = [copy.deepcopy(layer) for _ in PARTS]
    for rank, each in enumerate(copies):
        each.rnn[0].norm.group, each.rnn[0].norm.rank = group, rank

    def run_one(each, part):
        try:
            return run(each, part)
        except Exception:
            # The other need not wait.
            group.all_are_here.abort()
            raise

    with concurrent.futures.ThreadPoolExecutor(len(PARTS)) as threads:
        running = [threads.submit(run_one, *x) for x in zip(copies, PARTS)]
    if errors := [x.exception() for x in running if x.exception()]:
        # All: who waited for the one that failed hides the cause.
        raise ExceptionGroup("of the threads", errors)
    return [x.result() for x in running]
