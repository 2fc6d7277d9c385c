#!/usr/bin/env bash
# executorch 1.5.1 (with torch 2.15.0)
# Guessed: a recurrence written as torch's scan gives the same numbers in a
#     .pte file as in torch, whatever the shape of its state.
# Does: with a state of (batch, units) it does. With one of (1, batch, units),
#     as torch's own recurrent layers have, all steps but the first are wrong,
#     and nothing says so.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment executorch==1.5.1 torch==2.15.0 numpy==2.4.6
python -W ignore - 2> /dev/null <<'PYTHON'
import torch
from executorch.exir import to_edge
from executorch.runtime import Runtime
from torch._higher_order_ops.scan import scan


class Recurrence(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.u = torch.nn.Parameter(torch.randn(4, 4) / 4, requires_grad=False)

    def forward(self, x):
        def step(h, frame):
            h = torch.tanh(frame + h @ self.u)
            return h, h.clone()

        return scan(step, torch.zeros_like(x[0]), x, dim=0)[1]


torch.manual_seed(0)
layer, errors = Recurrence().eval(), {}
for state in ((2, 4), (1, 2, 4)):
    x = torch.randn(5, *state)
    program = to_edge(torch.export.export(layer, (x,))).to_executorch()
    with open("layer.pte", "wb") as file:
        file.write(program.buffer)
    loaded = Runtime.get().load_program("layer.pte")
    method = loaded.load_method("forward")
    apart = (method.execute([x])[0] - layer(x)).abs()
    errors[state] = apart.flatten(1).amax(1).tolist()
    print(state, "error of each step:", *(f"{e:.0e}" for e in errors[state]))
assert max(errors[2, 4]) < 1e-6
assert errors[1, 2, 4][0] < 1e-6 and max(errors[1, 2, 4]) > 0.01
PYTHON
