"""Phones are scored as the 39 that the literature has."""

import itertools

from speechbrain_ligru_fast.asr.corpora.timit_phones import PhoneScoring
from speechbrain_ligru_fast.recognition.phones import LABELS_61, fold_phones


def test_whatever_is_trained_is_folded_as_the_39_are_prepared():
    pairs = itertools.product(LABELS_61, repeat=2)
    for labels in pairs:
        segments = [(0, 0, label) for label in ("aa", *labels, "h#")]
        want = fold_phones(segments)[0]
        for phn_set in (48, 61):
            text = " ".join(fold_phones(segments, phn_set)[0])
            assert PhoneScoring(phn_set)(text).split() == want
