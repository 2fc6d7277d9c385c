"""The CRDNN lobe: stock's, with any recurrent layer and any backend."""

import functools

import pytest
import torch
import twins
from speechbrain.lobes.models import CRDNN as stock_lobe
from speechbrain.nnet import RNN as stock
from torch import nn

from speechbrain_ligru_fast import LiGRU, SLiGRU, accelerate, lobe, restore

SHAPE = (3, 12, 6)
LENGTHS = torch.tensor([1.0, 0.5, 0.75])


def small(cls=lobe.CRDNN, **options):
    return twins.crdnn(cls=cls, **options).double()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"time_pooling": True, "projection_dim": 3},
        {"using_2d_pooling": True, "cnn_blocks": 1, "dnn_blocks": 1},
        {"use_rnnp": True, "rnn_bidirectional": False},
        {"cnn_blocks": 0, "activation": nn.ReLU},
    ],
    ids=str,
)
def test_equals_stock(backend, options, training):
    theirs = small(stock_lobe.CRDNN, **options).train(training)
    ours = small(**options, backend=backend).train(training)
    missing, unexpected = ours.load_state_dict(theirs.state_dict())
    assert not missing and not unexpected
    found = []
    for model in (ours, theirs):
        x = twins.data(SHAPE)
        output = model(x)
        output.backward(twins.data(output.shape, seed=7))
        found.append([output, x.grad, *(p.grad for p in model.parameters())])
    for number, (got, want) in enumerate(zip(*found, strict=True)):
        # In train mode what precedes a batch norm can have gradient 0.
        scale = max(want.abs().max().item(), 1e-3)
        limit = 1e-8 if number else 1e-10
        assert (got - want).abs().max().item() <= limit * scale


def test_takes_stocks_arguments_in_stocks_order():
    ours = lobe.CRDNN(None, SHAPE, nn.ReLU, 0.1, 1, [2], rnn_neurons=5)
    assert isinstance(ours.CNN.block_0.act_1, nn.ReLU)
    assert ours.CNN.block_0.conv_1.conv.out_channels == 2


def test_backend_is_handed_on():
    assert small(backend="torchscript").RNN.rnn[1].backend == "torchscript"
    set_already = functools.partial(LiGRU, backend="reference")
    assert small(rnn_class=set_already).RNN.backend == "reference"
    both = small(rnn_class=set_already, backend="torchscript")
    assert both.RNN.backend == "torchscript"
    with pytest.raises(ValueError, match="backend: got 'fastest'"):
        small(backend="fastest")


@pytest.mark.parametrize("name", ["cuda", "triton"])
def test_a_backend_for_gpus_is_built_without_one(name):
    set_already = {"rnn_class": functools.partial(SLiGRU, backend=name)}
    for options in ({"backend": name}, set_already):
        rnn = small(**options).RNN
        assert {rnn.backend, *(one.backend for one in rnn.rnn)} == {name}
    with pytest.raises(RuntimeError, match=f"backend '{name}' can't run"):
        rnn(torch.randn(2, 3, rnn.fea_dim).double())


def test_lengths_after_accelerate_and_restore():
    x = twins.data(SHAPE)
    options = dict(cnn_blocks=0, dnn_blocks=0)
    model = small(rnn_class=stock.LiGRU, **options).eval()
    blind = model(x, LENGTHS)
    # Results stay what they were, although a fast layer knows lengths.
    assert type(accelerate(model).RNN) is LiGRU
    assert torch.allclose(model(x, LENGTHS), blind)
    # A fast CRDNN's layer is told them, SpeechBrain's can't be.
    model = small(**options).eval()
    assert not model(x, LENGTHS)[1, 6:].any()
    restore(model)
    assert model(x, LENGTHS)[1, 6:].any()
