#!/usr/bin/env bash
# pyannote-database 6.1.1
# Guessed: the speakers and recordings of an RTTM file are its names, whatever
#     letters they have; "<NA>" alone means that there is none.
# Does: a speaker NA (and one named nan) is the number NaN, and a recording that
#     is called null or None is missing altogether, with all its turns.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment pyannote-database==6.1.1 pyannote-core==6.1.0 pandas==3.1.1 \
    numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
from pyannote.database.util import load_rttm

turns = [("call", "AN"), ("call", "NA"), ("null", "AN"), ("None", "AN")]
with open("turns.rttm", "w") as file:
    for second, (recording, speaker) in enumerate(turns):
        file.write(
            f"SPEAKER {recording} 1 {second} 1 <NA> <NA> {speaker} <NA> <NA>\n"
        )
found = load_rttm("turns.rttm")
labels = found["call"].labels()
print(f"recordings: {list(found)}; speakers of call: {labels}")
assert list(found) == ["call"]
assert len(labels) == 2
(missing,) = (label for label in labels if label != "AN")
assert isinstance(missing, float) and missing != missing
PYTHON
