#!/usr/bin/env bash
# praat-parselmouth 0.4.7
# Guessed: a Sound of a WAV file and one of the 16-bit samples in it are equal.
# Does: the samples are taken as they are, not as parts of full scale: the same
#     recording is 90 dB louder, and Praat's intensity of it is 169 dB.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment praat-parselmouth==0.4.7 numpy==2.4.6
python - <<'PYTHON'
import wave

import numpy as np
import parselmouth

seconds = np.arange(16000) / 16000
samples = (8000 * np.sin(2 * np.pi * 220 * seconds)).astype("<i2")
with wave.open("a.wav", "wb") as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(16000)
    file.writeframes(samples.tobytes())
read = parselmouth.Sound("a.wav")
given = parselmouth.Sound(samples, sampling_frequency=16000)
louder = given.get_intensity() - read.get_intensity()
print("largest sample of the file %.3f, of the array %.0f" % (
    read.values.max(), given.values.max()))
print("intensity %.1f dB and %.1f dB" % (
    read.get_intensity(), given.get_intensity()))
assert given.values.max() == 8000 and read.values.max() < 1
assert 90 < louder < 91
PYTHON
