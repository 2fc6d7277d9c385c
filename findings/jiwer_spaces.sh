#!/usr/bin/env bash
# jiwer 4.0.0
# Guessed: words are what white space separates, so a tab or a no-break space
#     between two of them, as in a Kaldi or a web transcript, changes nothing.
# Does: by default only the space separates. "one<TAB>two" is one word, and
#     against "one two" the word error rate is 200 %. (jiwer has
#     RemoveWhiteSpace(replace_by_space=True) for it.)
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment jiwer==4.0.0
python - <<'PYTHON'
import jiwer

for name, text in {
    "space": "one two",
    "tab": "one\ttwo",
    "no-break space": "one\u00a0two",
}.items():
    print(f"{name}: WER {jiwer.wer(text, 'one two'):.0%}")
assert jiwer.wer("one two", "one two") == 0
assert jiwer.wer("one\ttwo", "one two") == 2
assert jiwer.wer("one\u00a0two", "one two") == 2
PYTHON
