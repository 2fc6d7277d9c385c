#!/usr/bin/env bash
# text2digits 0.1.2
# Guessed: the numbers of a transcript become digits, other words stay, and the
#     two numbers of "ten four" stay two: "10 4".
# Does: "wait a second" becomes "wait a 2" (convert_ordinals is on), "the first
#     one" becomes "the 1 1", and "ten four" is one number, 104, as "one hundred
#     four" is. As a normaliser before a WER it makes different words equal.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment text2digits==0.1.2
python - <<'PYTHON'
from text2digits.text2digits import Text2Digits

expected = {
    "wait a second": "wait a 2",
    "the first one": "the 1 1",
    "ten four": "104",
    "one hundred four": "104",
    "forty or fifty": "40 or 50",
}
for text, digits in expected.items():
    found = Text2Digits().convert(text)
    print(f"{text}: {found}")
    assert found == digits
PYTHON
