#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: CyclicCosineScheduler without lr_initial, its default, takes the
#     optimiser's rate as the first, warms up to it over n_warmup_steps, and is
#     at half of it in the middle of total_steps.
# Does: each step multiplies what the step before left. In the middle the rate
#     is a millionth of a millionth of the first and less. With lr_initial the
#     cosine is right, but the warm-up begins at 98 % of the rate.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import torch
from speechbrain.nnet.schedulers import CyclicCosineScheduler


def rates(lr_initial):
    weights = torch.nn.Linear(1, 1).parameters()
    optimizer = torch.optim.SGD(weights, lr=1.0)
    schedule = CyclicCosineScheduler(100, lr_initial, total_steps=1000)
    return [schedule(optimizer)[1] for _ in range(1000)]


given, taken = rates(1.0), rates(None)
for step in (1, 100, 300, 550):
    print(
        f"step {step}: {given[step - 1]:.2g} with lr_initial, "
        f"{taken[step - 1]:.2g} without"
    )
assert abs(given[549] - 0.578) < 1e-3 and given[0] > 0.97
assert taken[549] < 1e-12
PYTHON
