#!/usr/bin/env bash
# samplerate 0.2.4
# Guessed: a recording resampled in blocks, the last with end_of_input=True, has
#     the samples that it has when resampled whole.
# Does: the end is missing, and nothing more can be had: of a second of 48 kHz
#     brought to 16 kHz in blocks of 10 ms, 143 of 16000 samples by
#     "sinc_best" (9 ms) and 19 by "sinc_fastest". The others are equal.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment samplerate==0.2.4 numpy==2.4.6
python - <<'PYTHON'
import numpy
import samplerate

audio = numpy.sin(numpy.arange(48000) / 100).astype(numpy.float32)
missing = {}
for converter in ("sinc_best", "sinc_fastest"):
    whole = samplerate.resample(audio, 1 / 3, converter)
    resampler = samplerate.Resampler(converter)
    blocks = numpy.concatenate(
        [
            resampler.process(
                audio[start : start + 480],
                1 / 3,
                end_of_input=start + 480 == len(audio),
            )
            for start in range(0, len(audio), 480)
        ]
    )
    more = resampler.process(audio[:0], 1 / 3, end_of_input=True)
    assert len(whole) == 16000 and len(more) == 0
    assert numpy.array_equal(blocks, whole[: len(blocks)])
    missing[converter] = len(whole) - len(blocks)
print("samples missing at the end:", missing)
assert missing == {"sinc_best": 143, "sinc_fastest": 19}
PYTHON
