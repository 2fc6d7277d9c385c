#!/usr/bin/env bash
# numba 0.68.1
# Guessed: numpy.mean of float32 audio is the same in a compiled function as
#     outside of one, to float32's rounding.
# Does: it adds one sample after the other in float32, where numpy adds in
#     halves. From 2^24 on one added is nothing added: the mean of 20 million
#     ones, 21 minutes of 16 kHz, is 0.84, and given as a float64.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment numba==0.68.1 numpy==2.4.6
python - <<'PYTHON'
import numba
import numpy


def mean(power):
    return numpy.mean(power)


compiled = numba.njit(mean)
ones = numpy.ones(20_000_000, numpy.float32)
print(f"numpy {mean(ones)}, numba {compiled(ones)}")
assert mean(ones) == 1
assert numpy.isclose(compiled(ones), 2**24 / 20_000_000)
PYTHON
