"""Checkpoints and live models go to and fro between stock and ours."""

import copy
import io
import pickle

import pytest
import torch
import twins
from torch import nn

from speechbrain_ligru_fast import accelerate, restore

SHAPE = (3, 5, 4)


def pair(model, **options):
    options = {"bidirectional": True, "num_layers": 2, **options}
    return twins.build(model, SHAPE, **options)


def reloaded(state):
    """A state dict after a trip through a file."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("affine", [False, True])
def test_stock_checkpoint_loads_strictly(model, affine):
    options = {"recurrent_elementwise_affine": affine}
    ours, theirs = pair(model, **(options if model == "SLiGRU" else {}))
    for parameter in ours.parameters():
        nn.init.zeros_(parameter)
    state = reloaded(theirs.state_dict())
    names = set(state)
    ours.load_state_dict(state, strict=True)
    # The caller's dictionary stays complete: stock may load it next.
    assert set(state) == names
    theirs.load_state_dict(state, strict=True)
    x = twins.data(SHAPE)
    got, want = twins.run(ours, x), twins.run(theirs, x)
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


@pytest.mark.parametrize("model", twins.MODELS)
def test_our_checkpoint_goes_back_through_restore(model):
    ours, _ = pair(model)
    x = twins.data(SHAPE)
    for _ in range(3):
        ours(x)
    state = reloaded(ours.state_dict())
    fresh = pair(model)[0]
    fresh.load_state_dict(state, strict=True)
    back = restore(fresh)
    assert type(back) is getattr(twins.stock, model)
    want = twins.run(ours, x)
    twins.assert_equal(twins.run(back, x), want, skip=("hidden",))


def test_a_checkpoint_of_another_architecture_is_refused():
    ours, _ = pair("LiGRU")
    wider, _ = pair("LiGRU", hidden_size=8)
    with pytest.raises(RuntimeError, match="size mismatch for rnn.0.w.weight"):
        ours.load_state_dict(wider.state_dict())
    deeper, _ = pair("LiGRU", num_layers=3)
    with pytest.raises(RuntimeError, match="Unexpected.*rnn.2.w.weight"):
        ours.load_state_dict(deeper.state_dict())
    stabilised, _ = pair("SLiGRU", recurrent_elementwise_affine=True)
    with pytest.raises(RuntimeError, match="Unexpected.*layer_norm.weight"):
        ours.load_state_dict(stabilised.state_dict())


class Model(nn.Module):
    """A stock layer with two names, in a list and alone."""

    def __init__(self, theirs):
        super().__init__()
        # A bias before batch norm has no gradient but rounding.
        self.front = nn.Linear(4, 4, bias=False).double()
        self.stack = nn.ModuleList([theirs])
        self.same = theirs

    def forward(self, x, hx=None):
        return self.same(self.front(x), hx)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("training", [False, True])
def test_accelerate_and_restore_keep_the_model(backend, model, training):
    _, theirs = pair(model)
    network = Model(theirs).train(training)
    x = twins.data(SHAPE)
    state = copy.deepcopy(network.state_dict())
    want = twins.run(network, x)
    parameters = dict(network.named_parameters())

    for swap, module in (
        (accelerate, "speechbrain_ligru_fast.layers.ligru"),
        (restore, "speechbrain.nnet.RNN"),
    ):
        network.load_state_dict(state, strict=False)
        arguments = {"backend": backend} if swap is accelerate else {}
        assert swap(network, **arguments) is network
        assert network.same is network.stack[0]
        assert type(network.same).__module__ == module
        assert network.same.training == training
        # The very same objects, so that optimizers go on.
        now = dict(network.named_parameters())
        assert now.keys() == parameters.keys()
        assert all(now[name] is parameters[name] for name in now)
        twins.assert_equal(twins.run(network, x), want, skip=("hidden",))
        # A second time there is nothing to swap.
        before = network.same
        assert swap(network) is network and network.same is before


@pytest.mark.parametrize("model", twins.MODELS)
def test_an_optimizer_goes_on_after_accelerate(model):
    losses = []
    for swap in (False, True):
        _, theirs = pair(model)
        network = Model(theirs)
        torch.manual_seed(2)
        nn.init.normal_(network.front.weight)
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        losses.append([])
        for step in range(6):
            if swap and step == 2:
                accelerate(network)
            if swap and step == 4:
                restore(network)
            loss = network(twins.data(SHAPE))[0].square().mean()
            losses[-1].append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert losses[1] == pytest.approx(losses[0], rel=1e-10)
    assert losses[0][-1] < losses[0][0]


def test_accelerate_keeps_the_options():
    _, theirs = twins.build(
        "SLiGRU",
        (3, 5, 4, 2),
        dtype=torch.float32,
        normalization="layernorm",
        recurrent_elementwise_affine=True,
        nonlinearity="sin",
        bias=False,
        dropout=0.3,
        num_layers=2,
        bidirectional=True,
    )
    back = restore(accelerate(copy.deepcopy(theirs)))
    for name in (
        "hidden_size nonlinearity num_layers ff_normalization bias dropout "
        "recurrent_elementwise_affine bidirectional re_init reshape fea_dim"
    ).split():
        assert getattr(back, name) == getattr(theirs, name), name
    assert str(back.rnn[0].norm) == str(theirs.rnn[0].norm)
    assert not back.rnn[0].norm.bias.requires_grad
    back.load_state_dict(theirs.state_dict(), strict=True)


def test_restore_refuses_what_stock_does_not_have():
    ours = twins.fast.LiGRU(4, SHAPE, normalization="identity")
    with pytest.raises(ValueError, match="normalization: got 'identity'"):
        restore(ours)


def test_copies_and_pickles():
    ours, _ = pair("SLiGRU")
    x = twins.data(SHAPE)
    want = twins.run(copy.deepcopy(ours), x)
    twins.assert_equal(twins.run(pickle.loads(pickle.dumps(ours)), x), want)


@pytest.mark.parametrize("lengths", [None, torch.tensor([1.0, 0.6, 0.2])])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_norm_converts_to_sync_batch_norm(bidirectional, lengths):
    ours, _ = pair("LiGRU", bidirectional=bidirectional)
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(ours))
    assert type(synced.rnn[0].norm) is nn.SyncBatchNorm
    assert type(ours.rnn[0].norm) is nn.BatchNorm1d
    x = twins.data(SHAPE)
    want = twins.run(ours, x, lengths=lengths)
    twins.assert_equal(twins.run(synced, x, lengths=lengths), want)
