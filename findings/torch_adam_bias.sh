#!/usr/bin/env bash
# torch 2.15.0, on a CPU
# Guessed: a bias in front of BatchNorm, which takes it out again, has the
#     gradient 0 and stays where it was, or all but.
# Does: its gradient is rounding noise below 1e-6, and Adam, which divides by
#     the gradient's size, makes whole steps of it: it walks by more than 10
#     learning rates in 500 steps, SGD's by less than a thousandth of one. So
#     two equal trainings that round differently (threads, devices) part
#     here first, and in evaluation see other running means.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment torch==2.15.0 numpy==2.4.6
python - <<'PYTHON'
import torch

rate = 1e-3


def train(optimizer):
    torch.manual_seed(0)
    linear, norm = torch.nn.Linear(40, 8), torch.nn.BatchNorm1d(8)
    start = linear.bias.detach().clone()
    optimizer = optimizer([*linear.parameters(), *norm.parameters()], lr=rate)
    largest = 0.0
    for _ in range(500):
        x = torch.randn(32, 40)
        loss = (norm(linear(x)) - x[:, :8]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        largest = max(largest, linear.bias.grad.abs().max().item())
        optimizer.step()
    return largest, (linear.bias - start).abs().max().item() / rate


for optimizer in (torch.optim.Adam, torch.optim.SGD):
    gradient, moved = train(optimizer)
    print(
        f"{optimizer.__name__}: gradients of the bias up to {gradient:.1e}, "
        f"it moved by {moved:.1f} learning rates"
    )
    assert gradient < 1e-6
    assert moved > 10 if optimizer is torch.optim.Adam else moved < 1e-3
PYTHON
