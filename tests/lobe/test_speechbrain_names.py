"""register: the fast layers under SpeechBrain's names."""

import copy
import functools
import inspect
import pickle

import pytest
import torch
import twins
from captures import through_a_file
from hyperpyyaml import load_hyperpyyaml
from speechbrain.lobes.models import CRDNN as stock_lobe
from speechbrain.nnet import RNN as stock
from torch import nn

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast import lobe, register

SHAPE = (3, 12, 6)
STOCK = {name: getattr(stock, name) for name in twins.MODELS}
MODEL = """
model: !new:speechbrain.lobes.models.{lobe}.CRDNN
    input_shape: [null, null, 6]
    cnn_channels: [2, 3]
    rnn_layers: 1
    rnn_neurons: 5
    dnn_neurons: 4
    {rest}
layer: !new:speechbrain.{module}.SLiGRU
    input_shape: [null, null, 6]
    hidden_size: 5
"""


@pytest.fixture(autouse=True)
def undone():
    yield
    register(replace=False)


def loaded(lobe, module, rest=""):
    found = load_hyperpyyaml(MODEL.format(lobe=lobe, module=module, rest=rest))
    return found["model"], found["layer"]


small = functools.partial(twins.crdnn, cls=stock_lobe.CRDNN)


def test_the_lobe_has_a_name_in_yaml():
    register()
    model, layer = loaded(
        "ligru_fast",
        "lobes.models.ligru_fast",
        "rnn_class: !name:speechbrain.lobes.models.ligru_fast.SLiGRU",
    )
    assert type(model) is lobe.CRDNN
    assert type(model.RNN) is type(layer) is fast.SLiGRU
    # Stock's own names are stock's.
    model, layer = loaded("CRDNN", "nnet.RNN")
    assert type(model.RNN) is STOCK["LiGRU"] and type(layer) is STOCK["SLiGRU"]


def test_replace_serves_unmodified_recipes():
    register(replace=True)
    rest = "rnn_class: !name:speechbrain.nnet.RNN.LiGRU"
    model, layer = loaded("CRDNN", "nnet.RNN", rest)
    assert type(model.RNN) is fast.LiGRU and type(layer) is fast.SLiGRU
    # The stock lobe's default too.
    assert type(small().RNN) is fast.LiGRU
    assert model(torch.randn(SHAPE)).shape == (3, 12, 4)
    # A replaced class is still one that restore knows.
    back = fast.restore(model)
    assert type(back.RNN) is STOCK["LiGRU"]
    register(replace=False)
    assert type(small().RNN) is STOCK["LiGRU"]


def test_replaced_classes_know_backends_and_have_subclasses():
    register(replace=True)
    cls = stock.LiGRU
    assert cls is STOCK["LiGRU"]
    model = lobe.CRDNN(
        input_shape=SHAPE, rnn_neurons=5, rnn_class=cls, backend="reference"
    )
    assert model.RNN.backend == "reference"
    assert "backend" in inspect.signature(cls).parameters

    class Mine(cls):
        pass

    assert type(Mine(hidden_size=5, input_shape=[3, 7, 6])) is Mine
    register(replace=False)
    assert "backend" not in inspect.signature(cls).parameters
    assert type(cls(hidden_size=5, input_shape=[3, 7, 6])) is cls


def files(model):
    """A whole model through each way that pickles it."""
    yield copy.deepcopy(model)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(model, protocol))
    load = functools.partial(torch.load, weights_only=False)
    yield through_a_file(torch.save, load, model)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("before", [False, True])
def test_whole_stock_models_in_files_around_replace(model, before):
    """A stock layer stays one: saved before, or restored and saved after."""
    register(replace=not before)
    ours = getattr(fast, model)(5, SHAPE, dropout=0.2)
    theirs = fast.restore(nn.Sequential(ours)).eval()
    assert type(theirs[0]) is STOCK[model]
    x = torch.randn(SHAPE)
    want = theirs(x)[0]
    text = pickle.dumps(theirs)
    assert b"speechbrain_ligru_fast" not in text
    register(replace=before)
    for found in (pickle.loads(text), *files(theirs)):
        assert type(found[0]) is STOCK[model]
        assert torch.equal(found(x)[0], want)


def test_fast_models_in_files_after_replace():
    register(replace=True)
    model = small().eval()
    assert type(model.RNN) is fast.LiGRU
    x = torch.randn(SHAPE)
    for found in files(model):
        assert type(found.RNN) is fast.LiGRU
        assert torch.equal(found(x), model(x))
