"""The search finds what trying everything finds."""

import itertools
import math

import pytest
import torch
from arpa_files import ngrams, probability

from speechbrain_ligru_fast.hybrid import packages
from speechbrain_ligru_fast.hybrid.decoding import Decoder, tune
from speechbrain_ligru_fast.hybrid.graphs import decoding_graph
from speechbrain_ligru_fast.hybrid.hmm import STATES, Hmm
from speechbrain_ligru_fast.hybrid.language_model import make_arpa

TEXTS = ["A AB A", "AB A", "A", "AB AB A", "A AB A"]


@pytest.fixture
def system(kaldi, lexicon, tmp_path):
    """HMM, graph, and the language model as it is written."""
    arpa = tmp_path / "words.arpa"
    make_arpa(TEXTS, lexicon.words, 2, arpa)
    hmm = Hmm(len(lexicon.phones))
    return hmm, decoding_graph(hmm, lexicon, arpa, tmp_path), ngrams(arpa)


def cost_of_phones(hmm, phones, scores):
    """Of the best alignment, by dynamic programming over states."""
    tid = {}
    for i, pdf in enumerate(hmm.pdfs.tolist(), 1):
        tid[pdf, hmm.transitions.is_self_loop(i)] = i
    log_probs = hmm.transitions.log_probs
    pdfs = [STATES * (p - 1) + s for p in phones for s in range(STATES)]
    best = [math.inf] * len(pdfs)
    for t, frame in enumerate(scores.tolist()):
        new = []
        for i, pdf in enumerate(pdfs):
            # Staying counts a tenth, and so does what is not staying.
            loop, leave = (log_probs[tid[pdf, x]] for x in (True, False))
            enter = (0.0 if t == 0 else math.inf) if i == 0 else best[i - 1]
            enter -= 0.1 * leave
            new.append(min(best[i] - 0.1 * loop, enter) - frame[pdf])
        best = new
    return best[-1]


def everything(hmm, model, lexicon, scores, penalty):
    """The cheapest of all texts of up to four words, and its cost."""
    found = {}
    for count in range(5):
        for words in itertools.product(lexicon.words, repeat=count):
            history, cost = ("<s>",), penalty * count
            for word in [*words, "</s>"]:
                cost -= math.log(probability(model, history, word))
                history = (word,)
            ways = [lexicon.pronunciations[word] for word in words]
            for said in itertools.product(*ways):
                for quiet in itertools.product((0, 1), repeat=count + 1):
                    phones = [1] * quiet[0]
                    for phone, after in zip(said, quiet[1:]):
                        phones += [lexicon.phone_ids[p] for p in phone]
                        phones += [1] * after
                    if phones:
                        whole = cost + math.log(2) * (count + 1)
                        whole += cost_of_phones(hmm, phones, scores)
                        text = " ".join(words)
                        found[text] = min(found.get(text, math.inf), whole)
    return min(found.items(), key=lambda item: item[1])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("penalty", [0.0, 2.5])
def test_the_best_of_all_texts_is_found(system, lexicon, seed, penalty):
    hmm, graph, model = system
    g = torch.Generator().manual_seed(seed)
    scores = 4 * torch.randn(14, len(lexicon.phones) * STATES, generator=g)
    decoder = Decoder(hmm, graph, lexicon, 1.0, penalty, beam=200.0)
    lattice = decoder.lattice(scores)
    text, cost = everything(hmm, model, lexicon, scores, penalty)
    assert decoder.text(lattice) == decoder.best(scores) == text
    kaldifst = packages.kaldifst
    (best,) = kaldifst.convert_nbest_to_vector(kaldifst.shortest_path(lattice))
    _, _, _, weight = kaldifst.get_linear_symbol_sequence(best)
    assert weight.value1 + weight.value2 == pytest.approx(cost, abs=1e-2)


def test_another_scale_of_a_lattice_is_another_search(system, lexicon):
    hmm, graph, _ = system
    g = torch.Generator().manual_seed(0)
    wide = {"beam": 300.0, "lattice_beam": 300.0}
    texts = set()
    decoders = {
        scale: Decoder(hmm, graph, lexicon, scale, 0.0, **wide)
        for scale in (0.05, 0.3, 1.0)
    }
    for _ in range(8):
        scores = 3 * torch.randn(25, len(lexicon.phones) * STATES, generator=g)
        lattice = decoders[0.3].lattice(scores)
        for scale, decoder in decoders.items():
            want = decoder.text(decoder.lattice(scores))
            assert decoders[0.3].text(lattice, scale) == want
            texts.add((scale, want))
    assert len(texts) > 6


def test_without_a_path_nothing_is_said(system, lexicon):
    hmm, graph, _ = system
    decoder = Decoder(hmm, graph, lexicon, 1.0, 0.0)
    assert decoder.text(None) == ""
    short = decoder.lattice(torch.zeros(1, len(lexicon.phones) * STATES))
    assert decoder.text(short) == ""
    assert decoder.best(torch.zeros(1, len(lexicon.phones) * STATES)) == ""


class Fixed:
    """Says what it is told for a scale and a penalty."""

    def __init__(self, scale, penalty):
        self.penalty = penalty

    def lattice(self, scores):
        return scores

    def text(self, lattice, scale):
        right = scale == 0.5 and self.penalty in (1.0, 2.0)
        return "A B" if right else "A"


def test_the_first_best_scale_and_penalty_are_chosen():
    found = tune(
        Fixed, {"u": None}, {"u": "A B"}, [0.1, 0.5, 1.0], [0.0, 1.0, 2.0]
    )
    assert found == (0.5, 1.0, 0.0)
