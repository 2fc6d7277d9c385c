#!/usr/bin/env bash
# python_speech_features 0.6
# Guessed: each of 80 mel filters, as many as today's recognisers take, says
#     something of speech of 16 kHz.
# Does: with its FFT of 512 the third is 0 at all frequencies, and its feature
#     is the logarithm of 2e-16 in each frame of each recording. It says
#     nothing of it (librosa warns), and what divides by a feature's standard
#     deviation divides by 0.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment python_speech_features==0.6 numpy==2.4.6 scipy==1.17.1
python - <<'PYTHON'
import numpy
from python_speech_features import logfbank

noise = numpy.random.default_rng(0).normal(size=16000) * 1000
features = logfbank(noise, 16000, nfilt=80)
constant = numpy.flatnonzero(features.std(0) < 1e-9).tolist()
print(f"of {features.shape[1]} filters, constant: {constant}")
print(f"their value: {features[0, constant]}")
assert constant == [2]
assert numpy.allclose(features[:, 2], numpy.log(numpy.finfo(float).eps))
PYTHON
