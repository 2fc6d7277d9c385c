#!/usr/bin/env bash
# pyctcdecode 0.5.0
# Guessed: the frames that decode_beams gives of a word are those of its
#     letters.
# Does: they wander. In 30 frames with a clear "a" at 10, a space at 15, "b" at
#     20 and "a" at 25, and 0.95 of blank elsewhere, "a" is said to be at 19,
#     behind its space, and "ba" at 22 to 23: equal texts are merged, and keep
#     the frames of the one merged last, whatever its probability.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment pyctcdecode==0.5.0 numpy==1.26.4
python - 2> /dev/null <<'PYTHON'
import numpy
from pyctcdecode import build_ctcdecoder

labels = ["", "a", "b", " "]
spoken = {10: "a", 15: " ", 20: "b", 25: "a"}
posteriors = numpy.full((30, 4), 0.05 / 3)
for frame in range(30):
    posteriors[frame, labels.index(spoken.get(frame, ""))] = 0.95
decoder = build_ctcdecoder(labels)
text, _, words, *_ = decoder.decode_beams(numpy.log(posteriors))[0]
print(f"{text!r}, the words' frames (from, up to): {words}")
assert text == "a ba"
assert words == [("a", (19, 20)), ("ba", (22, 24))]
PYTHON
