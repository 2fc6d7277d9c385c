#!/usr/bin/env bash
# speechbrain 1.1.2 (with torch 2.15.0 and torchaudio 2.11.1)
# Guessed: augment.preparation.write_csv reads audio files and writes a CSV
#     file, as its documentation says; a noise collection stays as it is.
# Does: it rewrites every file of several channels as its first channel, in
#     place; with max_length it deletes the longer files, and writes their
#     pieces beside them. The recordings of whoever lent the folder are gone.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 \
    soundfile==0.14.0
python - <<'PYTHON'
import os

import numpy
import soundfile
from speechbrain.augment.preparation import write_csv

noise = 0.1 * numpy.random.default_rng(0).normal(size=(32000, 2))
os.mkdir("noises")
for name in ("stereo.wav", "long.wav"):
    soundfile.write(f"noises/{name}", noise, 16000)
write_csv(["noises/stereo.wav"], "all.csv")
channels = soundfile.info("noises/stereo.wav").channels
write_csv(["noises/long.wav"], "pieces.csv", max_length=1.0)
files = sorted(os.listdir("noises"))
print(f"two channels became {channels}; of long.wav there are: {files}")
assert channels == 1 and "long.wav" not in files and len(files) == 3
PYTHON
