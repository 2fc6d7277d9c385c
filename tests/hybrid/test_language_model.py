"""ARPA files of transcripts."""

import pytest
from arpa_files import ngrams, probability

from speechbrain_ligru_fast.hybrid.language_model import check_arpa, make_arpa

TEXTS = ["A AB A", "AB A", "A", "AB AB A", "A AB A"]


@pytest.mark.parametrize("order", [2, 3])
def test_probabilities_sum_to_one(kaldi, tmp_path, order):
    path, words = tmp_path / "words.arpa", ["A", "AB", "UNSEEN"]
    make_arpa(TEXTS, words, order, path)
    model = ngrams(path)
    for history in [("<s>",), ("A",), ("AB",), ("UNSEEN",)]:
        of = {w: probability(model, history, w) for w in [*words, "</s>"]}
        assert sum(of.values()) == pytest.approx(1, abs=1e-5)
        assert min(of.values()) > 0
    # What every word has followed never backs off.
    assert max(back for _, back in model.values()) < 2
    assert probability(model, ("AB",), "A") > probability(model, ("AB",), "AB")


@pytest.mark.parametrize("order", [1, 6, "3", None])
def test_an_order_that_is_none(kaldi, tmp_path, order):
    with pytest.raises(ValueError, match="ngram_order must be 2 to 5, got"):
        make_arpa(TEXTS, ["A"], order, tmp_path / "words.arpa")


def test_an_empty_model(kaldi, tmp_path):
    with pytest.raises(
        ValueError, match="an empty language model: there is no"
    ):
        make_arpa([" "], ["A"], 2, tmp_path / "words.arpa")
    path = tmp_path / "other.arpa"
    path.write_text("\\data\\\nngram 1=1\n\n\\1-grams:\n-0.1\tCAT\n\n\\end\\\n")
    with pytest.raises(ValueError, match="has no word of the lexicon"):
        check_arpa(path, ["A", "AB"])


def test_n_grams_that_all_occur_once(kaldi, tmp_path):
    with pytest.raises(ValueError, match="take a lower ngram_order"):
        make_arpa(["A AB"], ["A", "AB"], 3, tmp_path / "words.arpa")
