#!/usr/bin/env bash
# num2words 0.5.14
# Guessed: the text of a negative number says so.
# Does: between -1 and 0 it does not, in English, German, French, Spanish and
#     Dutch: -0.5 is "zero point five". Italian says "meno". A transcript
#     normalised with it loses the sign of temperatures and changes.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment num2words==0.5.14
python - <<'PYTHON'
from num2words import num2words

for number in (-1.5, -0.5, -0.05):
    print(number, num2words(number))
for language in ("de", "fr", "es", "nl", "it"):
    print(-0.5, language, num2words(-0.5, lang=language))
assert num2words(-1.5) == "minus one point five"
assert num2words(-0.5) == num2words(0.5) == "zero point five"
for language in ("de", "fr", "es", "nl"):
    same = num2words(0.5, lang=language)
    assert num2words(-0.5, lang=language) == same
assert num2words(-0.5, lang="it") != num2words(0.5, lang="it")
PYTHON
