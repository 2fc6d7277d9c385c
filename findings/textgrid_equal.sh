#!/usr/bin/env bash
# textgrid 1.6.1
# Guessed: two intervals are equal if their times and their labels are.
# Does: the labels aren't compared. An interval "yes" is equal to an interval
#     "no" of the same second, and `in` finds it in a tier that hasn't the word.
#     So two annotators who agree on no word but on all times agree on all.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment textgrid==1.6.1
python - <<'PYTHON'
from textgrid import Interval, IntervalTier

tiers = []
for words in (["yes", "one"], ["no", "nine"]):
    tier = IntervalTier("words", 0, 2)
    for second, word in enumerate(words):
        tier.add(second, second + 1, word)
    tiers.append(tier)
ours, theirs = tiers
same = sum(one == other for one, other in zip(ours, theirs))
print(f"{same} of 2 intervals equal: {list(ours)}, {list(theirs)}")
assert same == 2
assert Interval(0, 1, "maybe") in ours
assert Interval(0, 1.5, "yes") not in ours
PYTHON
