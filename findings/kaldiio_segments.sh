#!/usr/bin/env bash
# kaldiio 2.18.1
# Guessed: segments of exactly one second of a 16 kHz recording, as a Kaldi
#     folder's file "segments" names them, have 16000 samples.
# Does: both ends are multiplied by the rate and truncated, so that the
#     rounding of a float moves some by a sample: of 800 segments, 9 have 15999
#     samples and 4 have 16001.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment kaldiio==2.18.1 numpy==2.4.6
python - <<'PYTHON'
from collections import Counter

import kaldiio
import numpy

with kaldiio.WriteHelper("ark,scp:wav.ark,wav.scp") as writer:
    writer["u"] = 16000, numpy.zeros(160000, numpy.int16)
with open("segments", "w") as file:
    for i in range(800):
        file.write(f"u{i:03} u {i / 100:.2f} {i / 100 + 1:.2f}\n")
found = kaldiio.load_scp("wav.scp", segments="segments")
lengths = Counter(len(found[key][1]) for key in found)
print("samples of a segment -> segments:", dict(lengths))
assert lengths == {16000: 787, 15999: 9, 16001: 4}
PYTHON
