#!/usr/bin/env bash
# fast-ctc-decode 0.3.7
# Guessed: the beam search's second result, a frame of each label, lies where
#     the label is, as that of the Viterbi search does.
# Does: it is where a prefix first came into the beam, however unlikely. Three
#     labels clear at the frames 10, 20 and 25 of 30 are said to be at 0, 1 and
#     2, by default and with a cut of 0.01. (With a cut above all else that the
#     frames hold, as the 0.1 of its README, they are right.)
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment fast-ctc-decode==0.3.7 numpy==2.4.6
python - <<'PYTHON'
import fast_ctc_decode
import numpy

spoken = {10: 1, 20: 2, 25: 3}
posteriors = numpy.full((30, 4), 0.05 / 3, numpy.float32)
for frame in range(30):
    posteriors[frame, spoken.get(frame, 0)] = 0.95
found = {
    "Viterbi": fast_ctc_decode.viterbi_search(posteriors, "_abc"),
    "beam": fast_ctc_decode.beam_search(posteriors, "_abc"),
    "beam, cut of 0.01": fast_ctc_decode.beam_search(
        posteriors, "_abc", beam_cut_threshold=0.01
    ),
}
for name, (text, path) in found.items():
    print(f"{name}: {text!r} at the frames {list(path)}")
    assert text == "abc"
    assert list(path) == ([0, 1, 2] if "beam" in name else [10, 20, 25])
PYTHON
