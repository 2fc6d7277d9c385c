#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: notch_filter(f) takes out the frequency f, which is given as a
#     fraction of half the sampling rate.
# Does: what it takes out is near 0.955 * f + 0.048, for f below 0.95. Asked for
#     0.1 it lets 0.4 of that pass, and all but nothing of 0.143: at 16 kHz 1146
#     Hz, not 800.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import torch
from speechbrain.processing.signal_processing import notch_filter

frequencies = torch.linspace(0, 1, 8001)
for asked, passes, found in ((0.1, 0.41, 0.143), (0.25, 0.27, 0.286)):
    response = torch.fft.rfft(notch_filter(asked).flatten(), 16000).abs()
    there = float(response[round(asked * 8000)])
    deepest = float(frequencies[response.argmin()])
    print(f"asked {asked}: {there:.2f} pass there, least at {deepest:.3f}")
    assert abs(there - passes) < 0.01 and abs(deepest - found) < 0.002
PYTHON
