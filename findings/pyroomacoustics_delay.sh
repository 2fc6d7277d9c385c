#!/usr/bin/env bash
# pyroomacoustics 0.10.1
# Guessed: the direct sound of a source 3.43 m away comes 10 ms later, at 16 kHz
#     160 samples.
# Does: 200 samples: every impulse response starts 40 samples (half the filter
#     that makes parts of a sample) too late, 2.5 ms at 16 kHz, 5 ms at 8 kHz.
#     Labels aligned to the dry speech are that much early on the reverberated.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment pyroomacoustics==0.10.1 numpy==2.4.6 scipy==1.17.1
python - <<'PYTHON'
import numpy
import pyroomacoustics

for rate in (8000, 16000):
    room = pyroomacoustics.ShoeBox([6, 5, 3], fs=rate, max_order=0)
    speed = room.c
    room.add_source([1, 1, 1], signal=numpy.eye(1, 999)[0])
    room.add_microphone([1 + speed / 100, 1, 1])
    room.simulate()
    heard = int(abs(room.mic_array.signals[0]).argmax())
    print(f"{rate} Hz, 10 ms away: at sample {heard}, not {rate // 100}")
    assert heard == rate // 100 + 40
PYTHON
