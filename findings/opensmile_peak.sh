#!/usr/bin/env bash
# opensmile 2.6.0
# Guessed: of a recording scaled to a peak of 1.0 the features are those of one
#     scaled to 0.999, and it is 0.01 dB louder.
# Does: samples are multiplied by 32768 and cast to 16 bits, where 1.0 becomes
#     -1.0: a click at each peak. Of a vowel-like tone with a fundamental of
#     125 Hz eGeMAPS's loudness is 1.6 times as large, and the alpha ratio
#     4 dB higher.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment opensmile==2.6.0 numpy==2.4.6 pandas==3.1.1
python - <<'PYTHON'
import numpy as np
import opensmile

smile = opensmile.Smile(
    feature_set=opensmile.FeatureSet.eGeMAPSv02,
    feature_level=opensmile.FeatureLevel.Functionals,
)
t = np.arange(32000) / 16000
x = sum(np.sin(250 * np.pi * k * t + k * k) / k for k in range(1, 20))
x = (x / x.min()).astype("float32")
assert x.max() == 1.0 and x.min() > -1.0
found = {}
for peak in (1.0, 0.999, 0.998):
    row = smile.process_signal(peak * x, 16000).iloc[0]
    found[peak] = row["loudness_sma3_amean"], row["alphaRatioV_sma3nz_amean"]
    print("peak %.3f: loudness %.3f, alpha ratio %.2f dB" % (peak, *found[peak]))
(loud, ratio), (loud_2, ratio_2), (loud_3, ratio_3) = found.values()
assert loud > 1.5 * loud_2 and ratio > ratio_2 + 4
assert abs(loud_2 / loud_3 - 1) < 1e-2 and abs(ratio_2 - ratio_3) < 1e-2
PYTHON
