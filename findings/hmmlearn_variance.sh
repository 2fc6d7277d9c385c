#!/usr/bin/env bash
# hmmlearn 0.3.3
# Guessed: a GaussianHMM of one state, fitted, is the Gaussian of its data, as
#     a GMMHMM of one state and one component is.
# Does: GaussianHMM adds a prior of 0.01 to the sum of squares, whatever the
#     data's scale. Of 50 frames with a deviation of 0.01 its variance is more
#     than three times theirs; GMMHMM's is theirs.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment hmmlearn==0.3.3 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import numpy as np
from hmmlearn import hmm

frames = np.random.default_rng(0).normal(0, 0.01, (50, 1))
one = hmm.GaussianHMM(1, n_iter=20).fit(frames)
mixture = hmm.GMMHMM(1, n_mix=1, n_iter=20).fit(frames)
ratios = [float(m.covars_.ravel()[0] / frames.var()) for m in (one, mixture)]
print("variance, of the data's: GaussianHMM %.2f, GMMHMM %.2f" % tuple(ratios))
assert ratios[0] > 3
assert abs(ratios[1] - 1) < 1e-3
scaled = hmm.GaussianHMM(1, n_iter=20).fit(100 * frames)
ratio = float(scaled.covars_.ravel()[0] / (100 * frames).var())
print("the same, of frames times 100: GaussianHMM %.4f" % ratio)
assert abs(ratio - 1) < 1e-3
PYTHON
