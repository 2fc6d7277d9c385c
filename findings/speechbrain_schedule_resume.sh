#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: a training that is resumed with another lr or total_steps in its
#     YAML goes on with these, as it does with another number of epochs.
# Does: WarmAndExpDecayLRSchedule takes both from the checkpoint and says
#     nothing: what the YAML now says has no effect.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python -W ignore - 2> /dev/null <<'PYTHON'
import torch
from speechbrain.nnet.schedulers import WarmAndExpDecayLRSchedule
from speechbrain.utils.checkpoints import Checkpointer


def rate(schedule):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1)
    schedule(optimizer)
    return optimizer.param_groups[0]["lr"]


first = WarmAndExpDecayLRSchedule(lr=1.0, n_warmup_steps=0, total_steps=100)
for _ in range(100):
    rate(first)
saver = Checkpointer("checkpoints", {"schedule": first})
saver.save_checkpoint()

longer = WarmAndExpDecayLRSchedule(lr=0.5, n_warmup_steps=0, total_steps=1000)
Checkpointer("checkpoints", {"schedule": longer}).recover_if_possible()
asked = 0.5 * 0.1 ** (100 / 1000)
got, old = rate(longer), rate(first)
print(f"step 101: {got:.3f}; the new settings say {asked:.3f}, the old {old:.3f}")
assert got == old and abs(got - asked) > 0.2
PYTHON
