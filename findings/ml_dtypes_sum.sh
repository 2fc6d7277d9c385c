#!/usr/bin/env bash
# ml_dtypes 0.6.0 (with numpy 2.4.6)
# Guessed: numpy sums an array of ml_dtypes' bfloat16 as it does one of its own
#     float16: the sum of 1000 ones is 1000.
# Does: it is 256 and their mean 0.256: the sum is kept in bfloat16, where
#     256 + 1 is 256. In float16 both are right, as ones @ ones is in either. A
#     reference in bfloat16 needs .astype(numpy.float32) before its sums.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment ml_dtypes==0.6.0 numpy==2.4.6
python - <<'PYTHON'
import ml_dtypes
import numpy

for dtype, total in ((numpy.float16, 1000), (ml_dtypes.bfloat16, 256)):
    ones = numpy.ones(1000, dtype)
    found = float(ones.sum()), float(ones.mean()), float(ones @ ones)
    print(f"{ones.dtype}, 1000 ones: sum, mean and product {found}")
    assert numpy.allclose(found, (total, total / 1000, 1000), rtol=0.005)
PYTHON
