#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: words of characters are what stands between spaces; two spaces, or
#     one at the end, are no word.
# Does: merge_tokens splits at each space, so that the empty text between two is
#     a word, and wrong: a space after "a word" is 50 % WER.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
from speechbrain.utils.metric_stats import ErrorRateStats

reference = list("a_word")
for text, wer in (("a_word", 0), ("a__word", 50), ("a_word_", 50)):
    stats = ErrorRateStats(merge_tokens=True, space_token="_")
    stats.append(["one"], [list(text)], [reference])
    print(f"{text}: {stats.summarize('WER')} %")
    assert stats.summarize("WER") == wer
PYTHON
