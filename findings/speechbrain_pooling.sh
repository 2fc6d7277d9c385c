#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: a network in eval mode gives an utterance the same embedding each
#     time.
# Does: StatisticsPooling, which makes x-vectors of frames, adds noise to the
#     means in eval mode as in training: from 1e-5 to 9e-5, never negative.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import torch
from speechbrain.nnet.pooling import StatisticsPooling

torch.manual_seed(0)
pool, x = StatisticsPooling(return_std=False).eval(), torch.randn(1, 200, 512)
with torch.no_grad():
    first, second = pool(x), pool(x)
    noise = (first - x.mean(1, keepdim=True)).flatten()
print(f"two runs differ by up to {float((first - second).abs().max()):.1e}")
print(f"noise from {float(noise.min()):.1e} to {float(noise.max()):.1e}")
assert float((first - second).abs().max()) > 1e-5
assert noise.min() > 0.9e-5 and noise.max() < 9.1e-5
PYTHON
