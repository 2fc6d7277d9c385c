#!/usr/bin/env bash
# pydub 0.25.1
# Guessed: set_frame_rate(8000) filters what 8 kHz can't hold, as every other
#     resampler does: a tone of 7 kHz becomes silence.
# Does: it becomes a tone of 1 kHz, as loud as before. Speech at 16 kHz whose
#     rate is halved for a telephone model has its hiss (4 to 8 kHz) folded
#     onto its vowels.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment pydub==0.25.1 numpy==2.4.6 soxr==0.5.0.post1
python -W ignore - <<'PYTHON'
import numpy as np
import soxr
from pydub import AudioSegment

tone = 0.5 * np.sin(2 * np.pi * 7000 * np.arange(16000) / 16000)
sound = AudioSegment(
    (32767 * tone).astype("<i2").tobytes(),
    frame_rate=16000,
    sample_width=2,
    channels=1,
).set_frame_rate(8000)
low = np.array(sound.get_array_of_samples()) / 32768
loudest = np.argmax(abs(np.fft.rfft(low))) * 8000 / len(low)
filtered = abs(soxr.resample(tone, 16000, 8000)[200:-200]).max()
print(f"pydub: {abs(low).max():.3f} at {loudest:.0f} Hz; soxr: {filtered:.6f}")
assert abs(low).max() > 0.49 and loudest == 1000
assert filtered < 0.001
PYTHON
