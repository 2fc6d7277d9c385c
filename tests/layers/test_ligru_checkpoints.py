"""State dicts go to and fro between stock and ours."""

import pytest
import torch
import twins
from captures import through_a_file
from torch import nn

from speechbrain_ligru_fast import restore

SHAPE = (3, 5, 4)
AFFINE = [
    ("LiGRU", {}),
    ("SLiGRU", {"recurrent_elementwise_affine": False}),
    ("SLiGRU", {"recurrent_elementwise_affine": True}),
]


def pair(model, **options):
    options = {"bidirectional": True, "num_layers": 2, **options}
    return twins.build(model, SHAPE, **options)


def reloaded(state):
    """A state dict after a trip through a file."""
    return through_a_file(torch.save, torch.load, state)


@pytest.mark.parametrize("model, options", AFFINE)
def test_to_and_fro(model, options):
    """Strictly; ours become stock's by restore."""
    ours, theirs = pair(model, **options)
    for parameter in ours.parameters():
        nn.init.zeros_(parameter)
    state = reloaded(theirs.state_dict())
    ours.load_state_dict(state, strict=True)
    # The caller's dictionary stays complete: stock may load it next.
    theirs.load_state_dict(state, strict=True)
    x = twins.data(SHAPE)
    got, want = twins.run(ours, x), twins.run(theirs, x)
    twins.assert_equal(got, want, skip=("hidden",))
    fresh, _ = pair(model, **options)
    fresh.load_state_dict(reloaded(ours.state_dict()), strict=True)
    back = restore(fresh)
    assert type(back) is getattr(twins.stock, model)
    got, want = twins.run(back, x), twins.run(ours, x)
    twins.assert_equal(got, want, skip=("hidden",))


@pytest.mark.parametrize("model", twins.MODELS)
def test_nothing_but_what_is_learnt_is_saved(model):
    ours, theirs = pair(model, dropout=0.2)
    theirs_names = set(theirs.state_dict())
    dropped = {n for n in theirs_names if "drop_mask" in n}
    assert dropped and set(ours.state_dict()) == theirs_names - dropped
    ours.train()(twins.data(SHAPE))
    assert set(ours.state_dict()) == theirs_names - dropped
    buffers = sum(b.numel() for b in ours.buffers())
    assert buffers < sum(p.numel() for p in ours.parameters())


@pytest.mark.parametrize(
    "model, options, words",
    [
        ("LiGRU", {"hidden_size": 8}, "size mismatch for rnn.0.w.weight"),
        ("LiGRU", {"num_layers": 3}, "Unexpected.*rnn.2.w.weight"),
        (*AFFINE[2], "Unexpected.*layer_norm.weight"),
    ],
)
def test_another_architecture_is_refused(model, options, words):
    state = pair(model, **options)[0].state_dict()
    with pytest.raises(RuntimeError, match=words):
        pair("LiGRU")[0].load_state_dict(state)
