#!/usr/bin/env bash
# torch 2.15.0
# Guessed: what torch.export makes of a module does not depend on what was
#     exported before.
# Does: with a scan in it, it does. After an export for batches of 2, one
#     whose batch may be of any size (Dim.AUTO) is for batches of 2, without a
#     word; with a named Dim it is refused. torch.compiler.reset() between the
#     two makes the second one right.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment torch==2.15.0 numpy==2.4.6
python -W ignore - 2> /dev/null <<'PYTHON'
import torch
from torch._higher_order_ops.scan import scan
from torch.export import Dim


class Sums(torch.nn.Module):
    def forward(self, x):
        def step(total, frame):
            total = torch.tanh(total + frame)
            return total, total.clone()

        return scan(step, torch.zeros_like(x[0]), x, dim=0)[1]


def batch():
    """The batch of an exported program's output."""
    program = torch.export.export(
        Sums(),
        (torch.randn(5, 2, 4),),
        dynamic_shapes=({0: Dim.AUTO, 1: Dim.AUTO},),
    )
    output = list(program.graph.nodes)[-1].args[0][0]
    return str(output.meta["val"].shape[1])


found = [batch()]
torch.compiler.reset()
torch.export.export(
    Sums(), (torch.randn(5, 2, 4),), dynamic_shapes=({0: Dim.AUTO},)
)
found.append(batch())
torch.compiler.reset()
found.append(batch())
print("batch of the first export, after another, and after a reset:", *found)
assert not found[0].isdigit() and found[1] == "2" and not found[2].isdigit()
PYTHON
