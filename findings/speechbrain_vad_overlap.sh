#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: a VAD's `overlap_small_chunk` averages what overlapping chunks say of
#     a frame: if its network says 0.9 of all frames, that is what comes out.
# Does: chunks are added up under a Hamming window, whose two halves sum to 1.08.
#     The middle of 20 seconds has 0.97. A recording of less than half a chunk,
#     here 4 seconds, is under the window alone: it begins with 0.07.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6 \
    soundfile==0.14.0
python - 2> /dev/null <<'PYTHON'
import numpy
import soundfile
import torch
from speechbrain.inference.VAD import VAD


class Certain(VAD):
    """A VAD whose network says 0.9 of each frame of 10 ms."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.sample_rate, self.time_resolution = 16000, 0.01
        self.device = "cpu"

    def get_speech_prob_chunk(self, wavs, wav_lens=None):
        return torch.full((len(wavs), wavs.shape[1] // 160 + 1, 1), 0.9)


for seconds, first, highest in ((20, 0.9, 0.972), (4, 0.072, 0.82)):
    soundfile.write("x.wav", numpy.zeros(16000 * seconds), 16000)
    for overlap in (False, True):
        found = Certain().get_speech_prob_file(
            "x.wav", overlap_small_chunk=overlap
        )
        begin, top = float(found[0, 0]), float(found.max())
        print(f"{seconds} s, overlap {overlap}: {begin:.3f} to {top:.3f}")
        want = (first, highest) if overlap else (0.9, 0.9)
        assert abs(begin - want[0]) < 1e-3 and abs(top - want[1]) < 1e-3
PYTHON
