#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: the crest of a spectrum is its maximum by its mean, as the docstring
#     says, and its entropy tells how peaky it is, however loud it is.
# Does: crest is the maximum by the sum: 1 by 401 for a flat spectrum. Entropy is
#     of the amplitudes: 0 for a flat spectrum of ones, -23 for one of tens.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import torch
from speechbrain.processing.vocal_features import compute_spectral_features

for level, entropy in ((1.0, 0.0), (10.0, -23.03)):
    spectrum = torch.full((1, 1, 401), level)
    features = compute_spectral_features(spectrum)[0, 0]
    print(f"level {level}: entropy {features[4]:.2f}, crest {features[6]:.4f}")
    assert abs(features[4] - entropy) < 0.01
    assert abs(features[6] - 1 / 401) < 1e-5
PYTHON
