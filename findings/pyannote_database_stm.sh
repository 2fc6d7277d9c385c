#!/usr/bin/env bash
# pyannote-database 6.1.1
# Guessed: of an STM file the turns are read, as sclite reads them: a line with
#     ;; is a comment, inter_segment_gap is nobody.
# Does: a first line of ";; checked twice" takes all turns away, and makes a
#     recording ";;" without any: the columns are counted by it. Without it
#     inter_segment_gap is a speaker: what nobody said would be missed speech.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment pyannote-database==6.1.1 pyannote-core==6.1.0 pandas==3.1.1 \
    numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
from pyannote.database.util import load_stm

TURNS = (
    "talk 1 anna 0.0 1.5 <o,f0,female> hello there\n"
    "talk 1 inter_segment_gap 1.5 4.0 <o,,>\n"
)


def speakers(text):
    """Who has a turn, of each recording."""
    with open("talk.stm", "w") as file:
        file.write(text)
    found = load_stm("talk.stm")
    return {recording: turns.labels() for recording, turns in found.items()}


plain, commented = speakers(TURNS), speakers(";; checked twice\n" + TURNS)
print(f"speakers: {plain}; after a comment: {commented}")
assert plain == {"talk": ["anna", "inter_segment_gap"]}
assert commented == {";;": [], "talk": []}
PYTHON
