#!/usr/bin/env bash
# kaldingram 0.1.2
# Guessed: a model of order 1 has the frequency of each word of a text.
# Does: it counts the first word of each line and nothing else, where the text
#     is a file. Of two lines "the cat" and "the dog" it knows only "the", and
#     cat and dog can't be said. The same text from standard input, and higher
#     orders, are counted whole.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment kaldingram==0.1.2
printf 'the cat\nthe dog\n' > text
words() {
    sed -n '/1-grams/,/^$/p' "$1" | cut -s -f 2 | sort | tr '\n' ' '
}
kaldingram train --ngram-order 1 --text text --lm file.arpa 2> /dev/null
kaldingram train --ngram-order 1 < text > pipe.arpa 2> /dev/null
echo "of a file: $(words file.arpa)"
echo "of standard input: $(words pipe.arpa)"
[[ $(words file.arpa) == "</s> <s> the " ]]
[[ $(words pipe.arpa) == "</s> <s> cat dog the " ]]
