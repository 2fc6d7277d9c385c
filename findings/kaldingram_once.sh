#!/usr/bin/env bash
# kaldingram 0.1.2
# Guessed: a pair of words that a text has is more likely than one it lacks.
# Does: where all pairs occur once, each of them has the probability 10^-99, and
#     all that never occurred share what is left: the text itself becomes the
#     one thing that can't be said. (Kneser and Ney's discount, n1 / (n1 + 2
#     n2), is 1 where no pair occurs twice.)
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment kaldingram==0.1.2
printf 'one two three\nfour five six\n' > text
kaldingram train --ngram-order 2 --text text --lm arpa 2> /dev/null
seen=$(grep -P '\tone two$' arpa | cut -f 1)
echo "log10 p(two | one), which the text has: $seen"
python - <<'PYTHON'
table = {}
for line in open("arpa"):
    cells = line.rstrip("\n").split("\t")
    if len(cells) > 1:
        table[cells[1]] = [float(cells[0]), *map(float, cells[2:])]
unseen = table["one"][1] + table["six"][0]
print(f"log10 p(six | one), which it lacks: {unseen:.3f}")
assert table["one two"][0] == -99 and unseen > -2
PYTHON
