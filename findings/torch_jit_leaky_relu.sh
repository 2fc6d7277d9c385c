#!/usr/bin/env bash
# torch 2.15.0, on a CPU
# Guessed: torch.jit.script of Linear and LeakyReLU in float64 has the gradients
#     of the same modules in eager mode, in every call.
# Does: the first call has. From the second on, which TorchScript has optimised,
#     the gradient is that of a slope rounded to float32: 1e-9 off, while the
#     output is equal to the last bit. A check of gradients that calls once, or
#     looks at outputs, sees nothing. LeakyReLU alone and ReLU are exact.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment torch==2.15.0 numpy==2.4.6
python -W ignore - <<'PYTHON'
import torch


def differences(activation):
    """Of outputs and gradients, call by call."""
    torch.manual_seed(0)
    eager = torch.nn.Sequential(torch.nn.Linear(8, 8), activation).double()
    scripted = torch.jit.script(eager)
    for _ in range(3):
        x = torch.randn(16, 8, dtype=torch.float64, requires_grad=True)
        outputs = [module(x) for module in (eager, scripted)]
        grads = [torch.autograd.grad(y.sum(), x)[0] for y in outputs]
        yield [(a - b).abs().max().item() for a, b in (outputs, grads)]


leaky = list(differences(torch.nn.LeakyReLU(0.1)))
relu = list(differences(torch.nn.ReLU()))
for name, found in (("LeakyReLU", leaky), ("ReLU", relu)):
    for call, (output, grad) in enumerate(found, 1):
        print(f"{name}, call {call}: output {output:.0e}, gradient {grad:.0e}")
assert all(output == 0 for output, _ in leaky) and leaky[0][1] == 0
assert leaky[1][1] > 1e-10 and leaky[2][1] > 1e-10
assert all(pair == [0, 0] for pair in relu)
PYTHON
