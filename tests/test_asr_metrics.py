"""jiwer's rates are SpeechBrain's."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from speechbrain.utils.metric_stats import ErrorRateStats

from speechbrain_ligru_fast.asr.metrics import ErrorRate

WORD = st.text("ab'é", min_size=1, max_size=4)
TEXT = st.lists(WORD, max_size=6).map(" ".join)
REFERENCE = st.lists(WORD, min_size=1, max_size=6).map(" ".join)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(REFERENCE, TEXT), min_size=1, max_size=5))
@pytest.mark.parametrize("unit", ["word", "char"])
def test_equals_speechbrain(unit, pairs):
    ids = [str(i) for i in range(len(pairs))]
    references, hypotheses = map(list, zip(*pairs))
    ours = ErrorRate(unit)
    ours.append(ids, references, hypotheses)

    theirs = ErrorRateStats(split_tokens=unit == "char")
    theirs.append(
        ids,
        # "".split(" ") would be one empty word.
        [text.split() for text in hypotheses],
        [text.split() for text in references],
    )
    assert ours.summarize() == pytest.approx(theirs.summarize("error_rate"))


def test_batches_add_up():
    whole, parts = ErrorRate(), ErrorRate()
    whole.append(["1", "2"], ["A B C", "A"], ["A C", "B B"])
    parts.append(["1"], ["A B C"], ["A C"])
    parts.append(["2"], ["A"], ["B B"])
    assert whole.summarize() == parts.summarize() == 75.0


def test_nothing_scored():
    assert math.isnan(ErrorRate().summarize())


def test_unknown_unit():
    with pytest.raises(ValueError, match="word or char, got 'phone'"):
        ErrorRate("phone")


def test_write(tmp_path):
    metric = ErrorRate()
    metric.append(["utt-7"], ["ONE TWO"], ["ONE"])
    metric.write(tmp_path / "wer.txt")
    text = (tmp_path / "wer.txt").read_text()
    assert "50.00 %" in text and "utt-7" in text and "REF: ONE TWO" in text
