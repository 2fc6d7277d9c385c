#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: the crest of a spectrum is its maximum by its mean, as the docstring
#     says, and its entropy tells how peaky it is, however loud it is.
# Does: crest is the maximum by the sum: of a flat spectrum of 401 bins 1 by 401,
#     of 201 bins 1 by 201. Entropy is of the amplitudes: 0 for a flat spectrum
#     of ones, -23 for one of tens.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import torch
from speechbrain.processing.vocal_features import compute_spectral_features

for level, bins, entropy in (
    (1.0, 401, 0.0),
    (10.0, 401, -23.03),
    (1.0, 201, 0.0),
):
    spectrum = torch.full((1, 1, bins), level)
    features = compute_spectral_features(spectrum)[0, 0]
    print(f"level {level}, {bins} bins: entropy {features[4]:.2f}, crest {features[6]:.4f}")
    assert abs(features[4] - entropy) < 0.01
    assert abs(features[6] - 1 / bins) < 1e-5
PYTHON
