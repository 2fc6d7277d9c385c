#!/usr/bin/env bash
# kaldingram 0.1.2
# Guessed: weights for backing off are about 1 or below: what is left for words
#     that have not followed.
# Does: a word that every word of the text has followed gets 10^15, a division
#     of 0 by 0 but for rounding. As a graph, with a free way to the lower
#     order, a decoder is rewarded for backing off there as for thirty-five
#     certain words: a bigram of phones, of which some meet all others, is
#     useless.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment kaldingram==0.1.2
printf 'a b a\nb a\na\nb b a\na b a\na\nb\n' > text
kaldingram train --ngram-order 2 --text text --lm arpa 2> /dev/null
grep -P '\tb\t' arpa
weight=$(grep -P '\tb\t' arpa | cut -f 3)
echo "log10 of the weight for backing off after b: $weight"
python -c "assert 14 < float('$weight') < 17"
