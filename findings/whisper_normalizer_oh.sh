#!/usr/bin/env bash
# whisper-normalizer 0.1.15, the English normaliser of Whisper's word error
# rates
# Guessed: "oh" and "o" become a digit beside other digits ("one oh one"), and
#     stay what they are in names and exclamations.
# Does: every "oh" and "o" that stands alone is 0, and an apostrophe lets it
#     stand alone: "O'Brien" is "0 brien". Where one text has "O'Brien" and the
#     other "Obrien", two errors are counted instead of one.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment whisper-normalizer==0.1.15
python - <<'PYTHON'
from whisper_normalizer.english import EnglishTextNormalizer

normalise = EnglishTextNormalizer()
for text, found in {
    "room one oh one": "room 101",
    "oh my God": "0 my god",
    "Mr. O'Brien and Mrs. O'Hara": "mister 0 brien and missus 0 hara",
    "the letter O": "the letter 0",
}.items():
    print(f"{text!r}: {normalise(text)!r}")
    assert normalise(text) == found
PYTHON
