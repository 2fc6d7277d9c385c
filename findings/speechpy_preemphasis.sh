#!/usr/bin/env bash
# speechpy 2.4
# Guessed: preemphasis subtracts from each sample a part of the one before it,
#     and leaves the first as it is.
# Does: it takes the last sample for the one before the first (numpy.roll). A
#     recording that ends loudly starts with a click, and no two pieces of one
#     stream can be joined.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechpy==2.4 numpy==2.4.6 scipy==1.17.1
python - <<'PYTHON'
import numpy
from speechpy.processing import preemphasis

silence_then_loud = numpy.array([0.0, 0, 0, 0, 0, 1000])
found = preemphasis(silence_then_loud, shift=1, cof=0.98)
print(f"{silence_then_loud.tolist()} becomes {found.tolist()}")
assert found.tolist() == [-980, 0, 0, 0, 0, 1000]
PYTHON
