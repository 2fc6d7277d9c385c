#!/usr/bin/env bash
# torch 2.15.0
# Guessed: ReduceLROnPlateau reduces the rate where a loss stays as it is,
#     whatever its value: a negative one too, as a density's log-likelihood or
#     an SI-SNR gives.
# Does: at a constant 10 it goes down to a millionth in 20 epochs, at a constant
#     -10 it stays: what counts as better is less than 0.9999 of the best, and
#     -10 is less than -9.999. So is a loss that rises by 0.0009 an epoch.
#     (threshold_mode="abs" has no such sign.)
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment torch==2.15.0 numpy==2.4.6
python - <<'PYTHON'
import torch


def rate_after(losses):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="min", factor=0.1, patience=2
    )
    for loss in losses:
        scheduler.step(loss)
    return scheduler.get_last_lr()[0]


rates = {
    "10, constant": rate_after([10.0] * 20),
    "-10, constant": rate_after([-10.0] * 20),
    "-10, rising": rate_after([-10 + 0.0009 * i for i in range(20)]),
}
print("a loss of, and the rate after 20 epochs:", rates)
assert rates["10, constant"] < 2e-6
assert rates["-10, constant"] == rates["-10, rising"] == 1
PYTHON
