#!/usr/bin/env bash
# sentencepiece 0.2.3
# Guessed: a tokenizer trained on English transcripts can spell every letter
#     that they hold, whatever the size of its vocabulary.
# Does: with the defaults the rarest characters, together up to 0.05 % of the
#     text, get no piece. In 3000 sentences of digits with five "QUIZ", Q and Z
#     become <unk>, which a recogniser then learns, and its texts hold " ⁇ ".
#     character_coverage=1.0 keeps them.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment sentencepiece==0.2.3
python - <<'PYTHON'
import io
import random

import sentencepiece

words = "ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE TEN".split()
draw = random.Random(1)
sentences = [" ".join(draw.choices(words, k=6)) for _ in range(3000)]
sentences += ["QUIZ"] * 5


def spell(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        vocab_size=24,
        minloglevel=2,
        **options,
    )
    tokens = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return tokens.decode(tokens.encode("QUIZ ONE"))


print("by default:", spell())
print("character_coverage=1.0:", spell(character_coverage=1.0))
assert spell().split() == ["⁇", "UI", "⁇", "ONE"]
assert spell(character_coverage=1.0) == "QUIZ ONE"
PYTHON
