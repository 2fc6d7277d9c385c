#!/usr/bin/env bash
# audiomentations 0.43.1
# Guessed: slowed to 0.8 of its speed, one second of speech is 1.25 seconds.
# Does: it is one second: by default the end is cut off (faster: silence is
#     added). A fifth of the utterance is gone, and its transcript is not. The
#     parameter leave_length_unchanged=False does what one guesses.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment audiomentations==0.43.1 numpy==2.4.6
python -W ignore - <<'PYTHON'
import numpy as np
from audiomentations import TimeStretch

# A second of noise whose last fifth is ten times as loud.
speech = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
speech *= np.where(np.arange(16000) < 12800, 0.01, 0.1)
slow = {
    keep: TimeStretch(
        min_rate=0.8, max_rate=0.8, p=1.0, leave_length_unchanged=keep
    )(speech, 16000)
    for keep in (True, False)
}
default = TimeStretch(min_rate=0.8, max_rate=0.8, p=1.0)(speech, 16000)
loud = [abs(sound[-2000:]).mean() for sound in (default, slow[False])]
print(f"{len(default)} samples, or {len(slow[False])}; loudness of the end:")
print(f"{loud[0]:.3f}, or {loud[1]:.3f}")
assert len(default) == len(slow[True]) == 16000
assert len(slow[False]) == 20000
assert loud[0] < 0.02 < loud[1]
PYTHON
