"""A layer in two processes whose batch norm has the statistics of both.

Without SpeechBrain, which takes long to import in each.
"""

import copy

import torch
import torch.distributed.nn.functional
from torch import nn

BATCH, STEPS, FEATURES = 5, 7, 3
# The first process has 1 and the second 4 utterances.
PARTS = slice(0, 1), slice(1, BATCH)


class Reduced(nn.SyncBatchNorm):
    """Batch norm over the rows of all processes."""

    def forward(self, rows):
        """Normalises (N, C)."""

        def total(part):
            return torch.distributed.nn.functional.all_reduce(part)

        n = total(torch.tensor(float(len(rows)), dtype=rows.dtype))
        mean = total(rows.sum(0)) / n
        var = total((rows - mean).square().sum(0)) / n
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * n / (n - 1), self.momentum)
        scale = torch.rsqrt(var + self.eps) * self.weight
        return (rows - mean) * scale + self.bias


def run(layer, part):
    """Output, gradient and running statistics of a part of the batch."""
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
    return out.detach(), x.grad, norm.running_mean, norm.running_var


def one_of_two(rank, folder, layers):
    """What a process does; writes its results."""
    torch.distributed.init_process_group(
        "gloo", f"file://{folder}/store", rank=rank, world_size=2
    )
    results = []
    for layer in layers:
        # The processes share the tensors they are given.
        layer = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(layer))
        layer.rnn[0].norm.__class__ = Reduced
        results.append(run(layer, PARTS[rank]))
    torch.save(results, f"{folder}/{rank}")
    torch.distributed.destroy_process_group()
