#!/usr/bin/env bash
# fast-bss-eval 0.1.4
# Guessed: an estimate that is the reference has an infinite ratio, of one
#     source as of two.
# Does: of two sources it is inf, of one a ValueError about an empty array, but
#     for a `clamp_db`, which makes both finite.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment fast-bss-eval==0.1.4 numpy==2.4.6 scipy==1.17.1 torch==2.15.0 \
    packaging==26.4
python - 2> /dev/null <<'PYTHON'
import fast_bss_eval
import numpy

sources = numpy.random.default_rng(0).normal(size=(2, 16000))
two = fast_bss_eval.si_sdr(sources, sources)
print("two sources:", two)
assert numpy.isposinf(two).all()
clamped = fast_bss_eval.si_sdr(sources[:1], sources[:1], clamp_db=100)
assert abs(clamped[0] - 100) < 0.01
try:
    fast_bss_eval.si_sdr(sources[:1], sources[:1])
except ValueError as error:
    print("one source:", error)
    assert "zero-size" in str(error)
else:
    raise AssertionError("one source has a ratio")
PYTHON
