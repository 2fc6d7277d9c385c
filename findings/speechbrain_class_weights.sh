#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: with class weights the mean of nll_loss is the weighted mean, as
#     in torch, to which its docstring refers.
# Does: it divides by the number of targets, not by their weights. Weights of 10
#     instead of 1 for all classes make the loss, and so its gradient, 10 times
#     as large.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import torch
from speechbrain.nnet.losses import nll_loss

torch.manual_seed(0)
probabilities = torch.randn(6, 2).log_softmax(-1)
targets = torch.tensor([0, 1, 1, 0, 1, 1])
found = {}
for weight in (1.0, 10.0):
    weights = torch.full((2,), weight)
    ours = nll_loss(probabilities, targets, weight=weights)
    torchs = torch.nn.functional.nll_loss(probabilities, targets, weights)
    found[weight] = float(ours), float(torchs)
    print(f"weights of {weight}: {ours:.3f}, torch has {torchs:.3f}")
assert abs(found[10.0][0] / found[1.0][0] - 10) < 1e-4
assert abs(found[10.0][1] / found[1.0][1] - 1) < 1e-4
PYTHON
