#!/usr/bin/env bash
# lilcom 1.8.2 (what lhotse compresses features with)
# Guessed: compress(features) returns bytes and leaves the features alone.
# Does: it rounds the caller's own array: after the call a float32 matrix
#     holds what decompress() would return. A float64 or int16 one is left.
#     Who compresses a batch and then trains on it trains on the rounded one.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment lilcom==1.8.2 numpy==2.4.6
python - <<'PYTHON'
import lilcom
import numpy as np

features = np.random.default_rng(0).standard_normal((100, 80))
changes = {}
for dtype in (np.float32, np.float64):
    mine = features.astype(dtype)
    packed = lilcom.compress(mine)
    changes[dtype.__name__] = abs(mine - features.astype(dtype)).max()
    same = np.array_equal(mine, lilcom.decompress(packed))
    print(f"{dtype.__name__}: changed by {changes[dtype.__name__]:.6f},", end="")
    print(" and now equal to what is unpacked" if same else "")
assert 0.001 < changes["float32"] < 0.01
assert changes["float64"] == 0
PYTHON
