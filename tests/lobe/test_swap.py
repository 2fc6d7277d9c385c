"""accelerate and restore: the layers of a model in memory, to and fro."""

import copy

import pytest
import torch
import twins
from speechbrain.nnet import RNN as stock
from torch import nn

from speechbrain_ligru_fast import LiGRU, accelerate, restore

SHAPE = (3, 7, 6)
X = torch.randn(SHAPE)


class Model(nn.Module):
    """A stock layer with two names, in a list and alone."""

    def __init__(self, theirs):
        super().__init__()
        # A bias before batch norm has no gradient but rounding.
        self.front = nn.Linear(6, 6, bias=False).double()
        self.stack = nn.ModuleList([theirs])
        self.same = theirs

    def forward(self, x, hx=None):
        return self.same(self.front(x), hx)


def network(model):
    theirs = twins.build(model, SHAPE, bidirectional=True, num_layers=2)[1]
    return Model(theirs)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("training", [False, True])
def test_keeps_the_model(backend, model, training):
    net = network(model).train(training)
    x = twins.data(SHAPE)
    state = copy.deepcopy(net.state_dict())
    want = twins.run(net, x)
    parameters = dict(net.named_parameters())
    for swap, module, options in (
        (accelerate, "speechbrain_ligru_fast.layers.ligru", [backend]),
        (restore, "speechbrain.nnet.RNN", []),
    ):
        net.load_state_dict(state, strict=False)
        assert swap(net, *options) is net
        assert net.same is net.stack[0]
        assert type(net.same).__module__ == module
        assert net.same.training == training
        # The very same objects, so that optimizers go on.
        now = dict(net.named_parameters())
        assert now.keys() == parameters.keys()
        assert all(now[name] is parameters[name] for name in now)
        twins.assert_equal(twins.run(net, x), want, skip=("hidden",))
        # A second time there is nothing to swap.
        before = net.same
        assert swap(net) is net and net.same is before


def test_keeps_the_options():
    theirs = stock.SLiGRU(
        7, (3, 5, 4, 2), "sin", "layernorm", True, num_layers=2, bias=False,
        dropout=0.3, bidirectional=True,
    )  # fmt: skip
    fast = accelerate(copy.deepcopy(theirs), recompute=True)
    assert [layer.recompute for layer in fast.rnn] == [True, True]
    back = restore(fast)
    for name in (
        "hidden_size nonlinearity num_layers ff_normalization bias dropout "
        "recurrent_elementwise_affine bidirectional re_init reshape fea_dim"
    ).split():
        assert getattr(back, name) == getattr(theirs, name), name
    assert str(back.rnn[0].norm) == str(theirs.rnn[0].norm)
    assert not back.rnn[0].norm.bias.requires_grad
    back.load_state_dict(theirs.state_dict(), strict=True)
    assert not accelerate(back).rnn[0].recompute


@pytest.fixture(params=[accelerate, restore])
def turned(request):
    """A layer of two, and what turns it into its twin."""
    cls = {accelerate: stock.LiGRU, restore: LiGRU}[request.param]
    return cls(5, SHAPE, num_layers=2), request.param


def test_what_is_frozen_stays_so_and_hooks_stay(turned):
    net, turn = turned
    net.rnn[0].norm.eval()
    net.rnn[1].eval()
    want = net(X)[0]
    seen = []
    handle = net.register_forward_hook(lambda *_: seen.append("net"))
    net.rnn[1].register_forward_pre_hook(lambda *_: seen.append("layer"))
    new = turn(net)
    assert new.training and new.rnn[0].training
    assert not new.rnn[0].norm.training and not new.rnn[1].training
    assert torch.allclose(new(X)[0], want, atol=1e-6)
    assert seen == ["layer", "net"]
    handle.remove()
    new(X)
    assert seen == ["layer", "net", "layer"]


@pytest.mark.parametrize("scripted", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_a_model_in_which_nothing_is_swapped(turned, scripted, caplog):
    net, turn = turned
    turn(nn.Sequential(torch.jit.script(net) if scripted else nn.Linear(2, 3)))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "No layer swapped: Sequential holds no" in record.getMessage()
    assert ("scripted" in record.getMessage()) == scripted


@pytest.mark.parametrize("training", [False, True])
def test_restored_in_16_bits(training):
    fast = LiGRU(5, SHAPE, dropout=0.5).bfloat16().train(training)
    # Of as many utterances as the layer was built for: when stock draws
    # masks for another number, they are float32.
    assert restore(fast)(X.bfloat16())[0].dtype == torch.bfloat16


def test_stocks_identity_is_its_layer_norm():
    net = stock.LiGRU(5, SHAPE, normalization="identity", bidirectional=True)
    # Stock takes states for the size of a batch that it was built with only.
    given = X, torch.ones(2, 3, 5)
    want = net(*given)[0]
    fast = accelerate(net)
    assert torch.allclose(fast(*given)[0], want, atol=1e-6)
    assert torch.equal(restore(fast)(*given)[0], want)
    with pytest.raises(ValueError, match="normalization: got 'identity'"):
        restore(LiGRU(5, SHAPE, normalization="identity"))


def test_what_a_layer_computes_with_is_kept():
    """What was set after it was built counts, layer by layer."""
    net = stock.LiGRU(5, SHAPE, num_layers=2, dropout=0.5, re_init=False)
    for layer in net.rnn:
        layer.drop.p = 0.0
    net.rnn[0].act = nn.Tanh()
    del net.rnn[1].act
    net.rnn[1].act = torch.sin
    fast = accelerate(net)
    assert [one.dropout for one in fast.rnn] == [0.0, 0.0]
    assert [one.nonlinearity for one in fast.rnn] == ["tanh", "sin"]
    # The same back; the rates of the two layers differ now.
    fast.dropout, fast.rnn[1].dropout = 0.7, 0.3
    want = fast.eval()(X)[0]
    back = restore(fast)
    assert [one.drop.p for one in back.rnn] == [0.0, 0.3]
    assert back.rnn[0].drop_masks.all() and not back.rnn[1].drop_masks.all()
    assert torch.allclose(back(X)[0], want, atol=1e-6)


def test_an_unknown_activation():
    """Stock runs its name as ReLU; as a module it can't be had."""
    net = stock.LiGRU(5, SHAPE, nonlinearity="elu").eval()
    want = net(X)[0]
    fast = accelerate(net)
    assert fast.nonlinearity == "relu"
    assert torch.allclose(fast(X)[0], want, atol=1e-6)
    for act in (nn.ELU(), nn.LeakyReLU(0.2), torch.cos):
        net = stock.LiGRU(5, SHAPE)
        del net.rnn[0].act
        net.rnn[0].act = act
        with pytest.raises(ValueError, match="act: got .*allowed are ReLU"):
            accelerate(net)


def test_a_subclass_is_left_alone_and_named(caplog):
    class Mine(stock.LiGRU):
        pass

    net = nn.ModuleDict({"RNN": Mine(5, SHAPE)})
    assert type(accelerate(net)["RNN"]) is Mine
    assert "Mine stays: a subclass of LiGRU" in caplog.text
