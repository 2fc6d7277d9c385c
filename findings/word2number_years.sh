#!/usr/bin/env bash
# word2number 1.1
# Guessed: words that are no one number are an error, as other words are
#     ("you and me" is), or the number that a speaker means.
# Does: it adds them. "nineteen ninety nine" is 1719, "two three four" 10: a
#     reference written with digits this way counts errors that nobody made.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment word2number==1.1
python - <<'PYTHON'
from word2number import w2n

texts = ("one hundred and five", "two three four", "nineteen ninety nine")
numbers = [w2n.word_to_num(text) for text in texts]
print(dict(zip(texts, numbers)))
assert numbers == [105, 10, 1719]
PYTHON
