#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: of frames of 10 ms, 100 with speech are a segment of a second.
# Does: a segment ends where its last frame begins, and one that lasts to the end
#     of the recording a frame earlier: 40 frames are 0.39 seconds, 100 of 100
#     are 0.98.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6 \
    soundfile==0.14.0
python - 2> /dev/null <<'PYTHON'
from types import SimpleNamespace

import torch
from speechbrain.inference.VAD import VAD

frames = SimpleNamespace(time_resolution=0.01, sample_rate=16000, device="cpu")
for first, last, end in ((0, 100, 0.98), (20, 60, 0.59)):
    speech = torch.zeros(1, 100, 1, dtype=torch.int)
    speech[:, first:last] = 1
    ((begin, found),) = VAD.get_boundaries(frames, speech).tolist()
    print(f"frames {first} to {last}: {begin:.2f} to {found:.2f} seconds")
    assert abs(begin - first / 100) < 1e-6 and abs(found - end) < 1e-6
PYTHON
