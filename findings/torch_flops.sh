#!/usr/bin/env bash
# torch 2.15.0, on a CPU
# Guessed: torch.utils.flop_counter counts the products of nn.LSTM and nn.GRU
#     alike, or of neither.
# Does: it counts the GRU's, and 0 for the LSTM, forward and backward: on a CPU
#     that is one operator of oneDNN, for which the counter has no formula. A
#     recogniser's LSTMs, most of its arithmetic, are then free of charge.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment torch==2.15.0 numpy==2.4.6
python - <<'PYTHON'
import torch
from torch.utils.flop_counter import FlopCounterMode


def count(layer):
    with FlopCounterMode(display=False) as counter:
        layer(torch.randn(100, 4, 80))[0].sum().backward()
    return counter.get_total_flops()


lstm, gru = count(torch.nn.LSTM(80, 512)), count(torch.nn.GRU(80, 512))
print(f"a training step of nn.LSTM: {lstm}, of nn.GRU: {gru}")
assert lstm == 0 and gru > 2e9
PYTHON
