#!/usr/bin/env bash
# editdistance 0.8.1
# Guessed: of two sequences of token ids it counts the ids that differ, as it
#     does for words ("any iterable containing hashable objects").
# Does: it compares Python's hashes of the items alone, and hash(-1) is
#     hash(-2): the distance of [-1] and [-2] is 0, where Levenshtein's is 1.
#     So ids such as -1 for padding and -2 for blank are one and the same.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment editdistance==0.8.1 Levenshtein==0.27.3
python - <<'PYTHON'
import editdistance
import Levenshtein

reference, hypothesis = [7, -1, 5], [7, -2, 5]
found = editdistance.eval(reference, hypothesis)
right = Levenshtein.distance(reference, hypothesis)
print(f"{reference} and {hypothesis}: {found}, by Levenshtein {right}")
assert (found, right) == (0, 1)
assert editdistance.eval([1], [2]) == 1
PYTHON
