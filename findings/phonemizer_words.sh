#!/usr/bin/env bash
# phonemizer 3.4.0 (with espeakng-loader 0.2.4)
# Guessed: with a separator for words, a text of four words comes back as four
#     words' phones, so each word of a corpus gets its pronunciation.
# Does: eSpeak joins frequent pairs: "one of the two" has three, "of the" being
#     one. What pairs words and phones by their order is off from there on.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment phonemizer==3.4.0 espeakng-loader==0.2.4
python - <<'PYTHON'
import espeakng_loader
from phonemizer import phonemize
from phonemizer.backend.espeak.wrapper import EspeakWrapper
from phonemizer.separator import Separator

EspeakWrapper.set_library(espeakng_loader.get_library_path())
EspeakWrapper.set_data_path(espeakng_loader.get_data_path())


def words(text):
    """The phones of each word that comes back."""
    separator = Separator(phone="", syllable="", word="|")
    phones = phonemize(
        text, language="en-us", separator=separator, strip=True
    )
    return phones.split("|")


found = {
    text: words(text) for text in ("four new words", "one of the two")
}
for text, phones in found.items():
    print(f"{text}: {len(text.split())} words become {phones}")
assert len(found["four new words"]) == 3
assert len(found["one of the two"]) == 3
assert found["one of the two"][1] == words("of the")[0]
PYTHON
