#!/usr/bin/env bash
# nltk 3.10.4
# Guessed: the words that may follow any context have probabilities that sum to
#     1, in a model of any order.
# Does: in a trigram model by Kneser and Ney the first words of sentences, those
#     that follow two "<s>", sum to 1.14 with a discount of 0.75: of those that
#     follow one "<s>" more is given away than was taken. A model of order 1
#     divides by 0.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment nltk==3.10.4
python - <<'PYTHON'
from nltk.lm import KneserNeyInterpolated, WittenBellInterpolated
from nltk.lm.preprocessing import padded_everygram_pipeline

TEXTS = ("the cat sat on the mat", "the dog sat", "a cat saw the dog", "mat")


def trained(kind, order, **options):
    grams, words = padded_everygram_pipeline(order, [t.split() for t in TEXTS])
    model = kind(order=order, **options)
    model.fit(grams, words)
    return model


def total(model, *context):
    return sum(model.score(word, context) for word in model.vocab)


kneser_ney = trained(KneserNeyInterpolated, 3, discount=0.75)
witten_bell = trained(WittenBellInterpolated, 3)
for context in ((), ("the",), ("<s>",), ("<s>", "<s>")):
    found = total(kneser_ney, *context), total(witten_bell, *context)
    print(context, "Kneser-Ney {:.4f}, Witten-Bell {:.4f}".format(*found))
    assert abs(found[1] - 1) < 1e-9
    assert abs(found[0] - 1) < 1e-9 or context[-1:] == ("<s>",)
assert abs(total(kneser_ney, "<s>", "<s>") - 1.14) < 0.01
try:
    trained(KneserNeyInterpolated, 1).score("the")
except ZeroDivisionError as error:
    print("order 1:", error)
else:
    raise AssertionError("order 1 has probabilities")
PYTHON
