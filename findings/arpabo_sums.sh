#!/usr/bin/env bash
# arpabo 0.3.0
# Guessed: the words that may follow a word have probabilities that sum to 1.
# Does: they sum to more, up to 1.6 here, by all four of its ways of smoothing:
#     the weights for backing off are larger than what the discounts have left.
#     The perplexities of such models are too good, and compare nothing.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment arpabo==0.3.0
python - <<'PYTHON'
import io

import arpabo

TEXT = "a b a\nb a\na\nb b a\na b a c\n" * 3
WORDS = ("a", "b", "c", "</s>")


def read(path):
    """N-gram -> log10 of its probability, of its weight for backing off."""
    found, order = {}, 0
    for line in open(path):
        if line.endswith("-grams:\n"):
            order = int(line[1])
        elif order and len(line.split()) > order:
            probability, *ngram = line.split()
            back = float(ngram.pop()) if len(ngram) > order else 0.0
            found[tuple(ngram)] = float(probability), back
    return found


def probability(model, history, word):
    if (history, word) in model:
        return 10 ** model[history, word][0]
    return 10 ** (model[(history,)][1] + model[(word,)][0])


worst = {}
for method in ("good_turing", "auto", "fixed", "kneser_ney"):
    lm = arpabo.ArpaBoLM(max_order=2, smoothing_method=method)
    lm.read_corpus(io.StringIO(TEXT))
    lm.compute()
    lm.write_file("arpa")
    model = read("arpa")
    sums = {
        history: sum(probability(model, history, word) for word in WORDS)
        for history in ("<s>", "a", "b", "c")
    }
    print(method, {history: round(x, 3) for history, x in sums.items()})
    worst[method] = max(sums.values())
assert all(total > 1.2 for total in worst.values())
PYTHON
