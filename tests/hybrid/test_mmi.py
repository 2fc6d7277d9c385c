"""What the sum over all paths is, and what its gradient is."""

import itertools
import math

import pytest
import torch

from speechbrain_ligru_fast.hybrid import mmi
from speechbrain_ligru_fast.hybrid.mmi import StateChain

# Phones 0 and 1 are of three states each.
SAID = [[0, 0, 1, 2, 3, 4, 4, 5], [3, 4, 5, 5, 0, 1, 2, 2], [0, 1, 2]]


@pytest.fixture
def chain():
    chain = StateChain(6)
    chain.count([torch.tensor(states) for states in SAID])
    return chain


def weigh(chain, path, scores):
    """The logarithm of a path's probability times what it emits."""
    weight = chain.first[path[0]].log() + chain.last[path[-1]].log()
    for state, following in itertools.pairwise(path):
        weight = weight + chain.steps[state, following].log()
    return weight + sum(scores[t, state] for t, state in enumerate(path))


def by_trying_all(chain, scores, said):
    """log p(x) - log p(x | said), each a sum over all paths."""
    paths = list(itertools.product(range(6), repeat=len(scores)))
    all_of = torch.stack([weigh(chain, path, scores) for path in paths])
    right = [
        i
        for i, path in enumerate(paths)
        if [state for state, _ in itertools.groupby(path)] == said
    ]
    return all_of.logsumexp(0) - all_of[right].logsumexp(0)


def test_the_loss_is_a_sum_over_all_paths(chain):
    g = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 5, 6, generator=g, dtype=torch.float64)
    scores.requires_grad_()
    labels = torch.tensor([[0, 0, 1, 2, 2], [3, 4, 5, 0, 0]])
    lengths, label_lengths = torch.tensor([1.0, 0.8]), torch.tensor([1.0, 0.6])
    loss = chain(scores, lengths, labels, label_lengths)
    wanted = by_trying_all(chain, scores[0], [0, 1, 2])
    wanted = wanted + by_trying_all(chain, scores[1, :4], [3, 4, 5])
    torch.testing.assert_close(loss, wanted / 9)
    found, right = (
        torch.autograd.grad(x, scores)[0] for x in (loss, wanted / 9)
    )
    torch.testing.assert_close(found, right)
    assert not found[1, 4].any()


def test_other_speeds_and_padding_change_no_label(chain):
    g = torch.Generator().manual_seed(1)
    scores = torch.randn(1, 9, 6, generator=g)
    one = torch.ones(1)
    labels = torch.tensor([[0, 1, 1, 2, 3, 4, 5]])
    longer = torch.tensor([[0, 0, 1, 2, 2, 3, 4, 4, 5, 5, 0, 0]])
    same = chain(scores, one, longer, torch.tensor([10 / 12]))
    assert torch.equal(chain(scores, one, labels, one), same)


def test_fewer_frames_than_states_have_no_part(chain):
    g = torch.Generator().manual_seed(2)
    scores = torch.randn(2, 5, 6, generator=g, requires_grad=True)
    lengths = torch.tensor([1.0, 0.4])
    labels = torch.tensor([[0, 1, 2, 2, 2], [0, 1, 2, 2, 2]])
    loss = chain(scores, lengths, labels, torch.ones(2))
    alone = chain(scores[:1], lengths[:1], labels[:1], torch.ones(1))
    torch.testing.assert_close(loss, alone)
    (gradient,) = torch.autograd.grad(loss, scores)
    assert gradient[0].any() and not gradient[1].any()
    nobody = chain(scores[1:], lengths[1:], labels[1:], torch.ones(1))
    assert float(nobody) == 0 and math.isfinite(float(nobody))


def test_large_scores_and_long_utterances_stay_finite(chain):
    scores = 20 * torch.randn(1, 400, 6)
    scores.requires_grad_()
    labels = torch.tensor([[0, 1, 2] * 60])
    loss = chain(scores, torch.ones(1), labels, torch.ones(1))
    (gradient,) = torch.autograd.grad(loss, scores)
    assert loss.isfinite() and loss > 0 and gradient.isfinite().all()
    # A share moved from state to state.
    assert gradient.sum(2).abs().max() < 1e-6


@pytest.mark.parametrize("spread", [1, 100])
def test_how_often_it_is_scaled_changes_nothing(chain, spread, monkeypatch):
    g = torch.Generator().manual_seed(3)
    scores = spread * torch.randn(3, 40, 6, generator=g)
    scores.requires_grad_()
    labels = torch.tensor([[0, 1, 2, 3, 4, 5]]).expand(3, -1)
    found = []
    for every in mmi._UNSCALED, 1:
        monkeypatch.setattr(mmi, "_UNSCALED", every)
        lengths = torch.tensor([1.0, 0.625, 0.6])
        loss = chain(scores, lengths, labels, torch.ones(3))
        found.append((loss, *torch.autograd.grad(loss, scores)))
    assert found[0][0] > 0
    for got, want in zip(*found):
        torch.testing.assert_close(got, want)
