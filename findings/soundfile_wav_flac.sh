#!/usr/bin/env bash
# soundfile 0.14.0 (with libsndfile 1.2.2)
# Guessed: float samples written as 16-bit WAV and as 16-bit FLAC, both without
#     loss from there on, give the same integers, each the nearest one.
# Does: FLAC gets the nearest integer, WAV (and SPHERE) the next one below: they
#     differ in half of the samples, -1e-9 becomes -1, and all WAV samples
#     together get an offset of minus half a step.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment soundfile==0.14.0 numpy==2.4.6
python - <<'PYTHON'
import numpy
import soundfile

print("libsndfile", soundfile.__libsndfile_version__)
steps = numpy.random.default_rng(0).normal(0, 1000, 16000)
steps[:2] = 0.75, -1e-9 * 32768
written = {}
for kind in ("WAV", "NIST", "FLAC"):
    soundfile.write("x", steps / 32768, 16000, "PCM_16", format=kind)
    written[kind] = soundfile.read("x", dtype="int16")[0]
    offset = (written[kind] - steps).mean()
    print(f"{kind}: {written[kind][:6]}, on average {offset:+.3f} steps off")
print("given:", steps[:6].round(3))
differ = (written["WAV"] != written["FLAC"]).mean()
print(f"WAV and FLAC differ in {differ:.0%} of the samples")
assert (written["FLAC"] == numpy.rint(steps)).all()
assert abs(written["WAV"] - steps + 0.5).max() < 0.501
assert written["WAV"][:2].tolist() == [0, -1] and 0.4 < differ < 0.6
assert (written["NIST"] == written["WAV"]).all()
PYTHON
