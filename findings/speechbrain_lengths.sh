#!/usr/bin/env bash
# speechbrain 1.1.2 (with torch 2.15.0 and torchaudio 2.11.1)
# Guessed: an utterance of n of a batch's T frames, given as the relative
#     length n / T, is read to its frame n by speechbrain.nnet.RNN.LSTM.
# Does: n / T * T is truncated, which in float32 is sometimes n - 1: 14 of the
#     299 shorter lengths of a batch of 300 frames lose their last frame (and
#     GRU's and RNN's alike), while its losses round.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1
python - <<'PYTHON'
import torch
from speechbrain.nnet.RNN import LSTM

frames = 300
x = torch.randn(2, frames, 3)
layer = LSTM(hidden_size=4, input_shape=x.shape)
short = []
with torch.no_grad():
    for n in range(1, frames):
        output, _ = layer(x, lengths=torch.tensor([1.0, n / frames]))
        read = int((output[1] != 0).any(-1).sum())
        short += [(n, read)] if read != n else []
print(f"{len(short)} of {frames - 1} lengths, (given, read): {short}")
assert len(short) == 14 and all(read == n - 1 for n, read in short)
PYTHON
