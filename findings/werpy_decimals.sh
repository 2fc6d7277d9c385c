#!/usr/bin/env bash
# werpy 3.5.0
# Guessed: its normalize, made for comparing transcripts, keeps numbers apart
#     and takes "twenty-one" for "twenty one".
# Does: "3.5" and "35" become one, and "twenty-one" one word: against "twenty
#     one" an error rate of 100 %, of transcripts that sound alike.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment werpy==3.5.0
python - <<'PYTHON'
import werpy


def rate(reference, hypothesis):
    return werpy.wer(werpy.normalize(reference), werpy.normalize(hypothesis))


for pair in (("it was 3.5", "it was 35"), ("twenty one", "twenty-one")):
    print(f"{pair}: WER {rate(*pair):.0%}, {werpy.normalize(list(pair))}")
assert rate("it was 3.5", "it was 35") == 0
assert rate("twenty one", "twenty-one") == 1
PYTHON
