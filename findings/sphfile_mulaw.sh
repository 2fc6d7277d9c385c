#!/usr/bin/env bash
# sphfile 1.0.3, beside soundfile 0.14.0
# Guessed: of a SPHERE file in mu-law, as corpora of telephone speech are, the
#     content is the samples, or the coding is refused.
# Does: the content is the 8-bit codes, as if they were samples: what is silence
#     (code 255) is the loudest, and the two channels are one row, in turn.
#     soundfile reads the same file as it is meant.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment sphfile==1.0.3 soundfile==0.14.0 numpy==2.4.6
python - <<'PYTHON'
import numpy
import soundfile
from sphfile import SPHFile

# The left channel is silence; the right one as loud as mu-law can be.
codes = numpy.array([[255, 128], [255, 0]] * 3, "uint8")
header = """NIST_1A
   1024
channel_count -i 2
sample_count -i 6
sample_rate -i 8000
sample_n_bytes -i 1
sample_byte_format -s1 1
sample_coding -s4 ulaw
end_head
"""
with open("call.sph", "wb") as file:
    file.write(header.encode().ljust(1024) + codes.tobytes())
meant, _ = soundfile.read("call.sph", dtype="int16")
content = numpy.asarray(SPHFile("call.sph").content)
print(f"soundfile: {meant[:2].tolist()}, {meant.shape}")
print(f"sphfile: {content[:4].tolist()}, {content.shape}")
assert meant[:2].tolist() == [[0, 32124], [0, -32124]]
assert content.tolist() == codes.flatten().tolist()
PYTHON
