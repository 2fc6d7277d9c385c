"""Gaussian mixtures find where phones are, from nothing."""

import numpy
import pytest

from speechbrain_ligru_fast.hybrid.alignment import align
from speechbrain_ligru_fast.hybrid.gmm import flat_start, train_gmm
from speechbrain_ligru_fast.hybrid.graphs import training_graphs
from speechbrain_ligru_fast.hybrid.hmm import STATES, Hmm

TEXTS = {
    f"u{i}": text for i, text in enumerate(["A", "AB", "AB A", "A AB"] * 4)
}


def speak(lexicon, text, generator):
    """Noise around a place of its own for each phone; and the phones."""
    phones = ["sil"]
    for word in text.split():
        phones += [*lexicon.pronunciations[word][0], "sil"]
    heard = []
    for phone in phones:
        heard += [lexicon.phone_ids[phone]] * int(generator.integers(4, 12))
    places = numpy.eye(4) * 3
    noise = generator.standard_normal((len(heard), 4)) * 0.5
    return (places[heard] + noise).astype("float32"), numpy.array(heard)


@pytest.fixture
def corpus(kaldi, lexicon):
    """An HMM, graphs, features and the phones that are true."""
    hmm, generator = Hmm(len(lexicon.phones)), numpy.random.default_rng(0)
    said = {k: speak(lexicon, text, generator) for k, text in TEXTS.items()}
    features, truth = ({k: v[i] for k, v in said.items()} for i in (0, 1))
    edges = training_graphs(hmm, lexicon, TEXTS, edges=True)
    start = flat_start(edges, features)
    return hmm, training_graphs(hmm, lexicon, TEXTS), features, truth, start


def heard(hmm, alignment):
    """The phone of each frame."""
    return hmm.pdfs.numpy()[alignment - 1] // STATES + 1


def test_the_alignment_is_that_of_the_truth(corpus):
    hmm, graphs, features, truth, start = corpus
    aligned = train_gmm(hmm, graphs, features, start, 12, gaussians=20)
    found = aligned(graphs, features)
    right, before = (
        numpy.mean(
            numpy.concatenate([heard(hmm, a[k]) == truth[k] for k in TEXTS])
        )
        for a in (found, start)
    )
    assert right > 0.97 > 0.9 > before
    # A transition id says whether the state is left: the next frame is so.
    for alignment in found.values():
        pdfs = hmm.pdfs[alignment - 1].tolist()
        loops = [hmm.transitions.is_self_loop(int(i)) for i in alignment]
        assert [a == b for a, b in zip(pdfs, pdfs[1:])] == loops[1:]


def test_what_no_alignment_survives(corpus, lexicon, caplog):
    hmm, graphs, features, _, start = corpus
    short = {**features, "u2": features["u2"][:5]}
    first = {k: a for k, a in start.items() if k != "u2"}
    with pytest.raises(ValueError, match=r"1 of 16 utterances can't be .*\(u2"):
        train_gmm(hmm, graphs, short, first, 1, 9, allowed=0.05)
    train_gmm(hmm, graphs, short, first, 1, 9, allowed=0.1)
    assert "GMM iteration 1: 1 of 16 utterances" in caplog.text
    edges = training_graphs(hmm, lexicon, TEXTS, edges=True)
    assert set(TEXTS) - set(flat_start(edges, short)) == {"u2"}
    assert align(hmm, {}, None) == {}


def test_labels_are_spread_over_states(kaldi):
    hmm = Hmm(2)
    alignment = hmm.spread([2, 1], [5, 7])
    assert hmm.pdfs[alignment - 1].tolist() == [3, 3, 4, 4, 5, 0, 1]
    loops = [hmm.transitions.is_self_loop(int(i)) for i in alignment]
    # Each state's last frame leaves it, in the order of add_self_loops.
    assert loops == [True, False, True, False, False, False, False]
