"""CRDNN, and the ways to plug fast layers into SpeechBrain."""

import copy
import functools
import inspect
import io
import pickle

import pytest
import speechbrain as sb
import torch
import twins
from hyperpyyaml import load_hyperpyyaml
from speechbrain.lobes.models import CRDNN as stock_lobe
from torch import nn

import speechbrain_ligru_fast
from speechbrain_ligru_fast import LiGRU, SLiGRU, lobe, register

SHAPE = (3, 12, 6)
STOCK_LIGRU = sb.nnet.RNN.LiGRU
SMALL = dict(
    input_shape=SHAPE,
    cnn_channels=[2, 3],
    rnn_layers=2,
    rnn_neurons=5,
    dnn_neurons=4,
    dropout=0.0,
)


@pytest.mark.parametrize("name", ["cuda", "triton"])
def test_a_backend_for_gpus_is_built_without_one(name):
    for options in (
        {"backend": name},
        {"rnn_class": functools.partial(SLiGRU, backend=name)},
    ):
        rnn = small(**options).RNN
        assert {rnn.backend, *(one.backend for one in rnn.rnn)} == {name}
    with pytest.raises(RuntimeError, match=f"backend '{name}' can't run"):
        rnn(torch.randn(2, 3, rnn.fea_dim).double())


@pytest.fixture
def registered():
    """Calls register, and undoes it afterwards."""
    yield register
    register(replace=False)


def small(cls=lobe.CRDNN, **options):
    torch.manual_seed(4)
    return cls(**{**SMALL, **options}).double()


def gradients(model, *inputs):
    x, *rest = inputs
    output = model(x, *rest)
    weight = twins.data(output.shape, seed=7).detach()
    leaves = {"x": x, **dict(model.named_parameters())}
    grads = torch.autograd.grad(output, leaves.values(), weight)
    return {"output": output, **dict(zip(leaves, grads))}


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
    x = twins.data(SHAPE)
    got, want = gradients(ours, x), gradients(theirs, x)
    assert got.keys() == want.keys()
    for name, value in want.items():
        # In train mode what precedes a batch norm can have gradient 0.
        scale = max(value.abs().max().item(), 1e-3)
        worst = (got[name] - value).abs().max().item()
        assert worst <= (1e-10 if name == "output" else 1e-8) * scale, name


def test_takes_stocks_arguments_in_stocks_order():
    ours = lobe.CRDNN(None, SHAPE, nn.ReLU, 0.1, 1, [2], rnn_neurons=5)
    assert isinstance(ours.CNN.block_0.act_1, nn.ReLU)
    assert ours.CNN.block_0.conv_1.conv.out_channels == 2


@pytest.mark.parametrize(
    "rnn_class",
    [LiGRU, SLiGRU, sb.nnet.RNN.LSTM, sb.nnet.RNN.GRU, sb.nnet.RNN.LiGRU],
)
def test_any_recurrent_class(rnn_class):
    model = small(rnn_class=rnn_class)
    assert type(model.RNN) is rnn_class
    x = twins.data(SHAPE)
    assert model(x, torch.ones(3)).shape == model(x).shape == (3, 12, 4)


def test_lengths_reach_the_recurrent_layer():
    """Frames stay apart without a CNN: only the layer can mix them."""
    model = small(cnn_blocks=0, dnn_blocks=0).eval()
    x = twins.data(SHAPE).detach()
    changed = x.clone()
    changed[1, 6:] = 9.0
    lengths = torch.tensor([1.0, 0.5, 0.75])
    kept = model(x, lengths)
    assert torch.equal(model(changed, lengths), kept)
    assert not kept[1, 6:].any()
    assert not torch.allclose(model(changed)[1, :6], model(x)[1, :6])
    pooled = small(time_pooling=True, dnn_blocks=0).eval()
    assert pooled(x, lengths)[1].any(1).sum() == 3


def test_lengths_after_accelerate_and_restore():
    x, lengths = twins.data(SHAPE), torch.tensor([1.0, 0.5, 0.75])
    model = small(rnn_class=STOCK_LIGRU, cnn_blocks=0, dnn_blocks=0).eval()
    blind = model(x, lengths)
    # Results stay what they were, although a fast layer knows lengths.
    speechbrain_ligru_fast.accelerate(model)
    assert torch.allclose(model(x, lengths), blind)
    # A fast CRDNN's layer is told them, SpeechBrain's can't be.
    model = small(cnn_blocks=0, dnn_blocks=0).eval()
    assert not model(x, lengths)[1, 6:].any()
    speechbrain_ligru_fast.restore(model)
    assert model(x, lengths)[1, 6:].any()


def test_backend_is_handed_on():
    assert small(backend="torchscript").RNN.rnn[1].backend == "torchscript"
    set_already = functools.partial(LiGRU, backend="reference")
    assert small(rnn_class=set_already).RNN.backend == "reference"
    both = small(rnn_class=set_already, backend="torchscript")
    assert both.RNN.backend == "torchscript"
    with pytest.raises(ValueError, match="backend: got 'fastest'"):
        small(backend="fastest")


YAML = """
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


def test_register_names_the_lobe_in_yaml(registered):
    registered()
    text = YAML.format(
        lobe="ligru_fast",
        module="lobes.models.ligru_fast",
        rest="rnn_class: !name:speechbrain.lobes.models.ligru_fast.SLiGRU",
    )
    loaded = load_hyperpyyaml(text)
    assert type(loaded["model"]) is lobe.CRDNN
    assert type(loaded["model"].RNN) is SLiGRU
    assert type(loaded["layer"]) is SLiGRU
    # Stock's own names are stock's.
    loaded = load_hyperpyyaml(
        YAML.format(lobe="CRDNN", module="nnet.RNN", rest="")
    )
    assert type(loaded["model"].RNN).__module__ == "speechbrain.nnet.RNN"
    assert type(loaded["layer"]).__module__ == "speechbrain.nnet.RNN"


def test_register_replace_serves_unmodified_recipes(registered):
    registered(replace=True)
    text = YAML.format(
        lobe="CRDNN",
        module="nnet.RNN",
        rest="rnn_class: !name:speechbrain.nnet.RNN.LiGRU",
    )
    loaded = load_hyperpyyaml(text)
    assert type(loaded["model"].RNN) is LiGRU
    assert type(loaded["layer"]) is SLiGRU
    # The stock lobe's default too.
    assert type(small(stock_lobe.CRDNN).RNN) is LiGRU
    x = twins.data(SHAPE)
    assert loaded["model"].double()(x).shape == (3, 12, 4)
    # A replaced class is still one that restore knows.
    back = speechbrain_ligru_fast.restore(loaded["model"])
    assert type(back.RNN).__module__ == "speechbrain.nnet.RNN"
    registered(replace=False)
    assert type(small(stock_lobe.CRDNN).RNN) is type(back.RNN)


def test_a_stock_model_is_accelerated_in_place():
    theirs = small(stock_lobe.CRDNN)
    x = twins.data(SHAPE)
    want = theirs(x)
    fast = speechbrain_ligru_fast.accelerate(theirs, backend="reference")
    assert fast is theirs and type(theirs.RNN) is LiGRU
    assert torch.allclose(theirs(x), want, atol=1e-10)


def swap(to_stock):
    """Ours and stock's twin, and what turns the first into the second."""
    cls = LiGRU if to_stock else STOCK_LIGRU
    net = cls(hidden_size=5, input_shape=[3, 7, 6], num_layers=2)
    turn = "restore" if to_stock else "accelerate"
    return net, getattr(speechbrain_ligru_fast, turn)


@pytest.mark.parametrize("to_stock", [False, True])
def test_what_is_frozen_stays_so(to_stock):
    net, turn = swap(to_stock)
    net.rnn[0].norm.eval()
    net.rnn[1].eval()
    x = torch.randn(3, 7, 6)
    want = net(x)[0]
    new = turn(net)
    assert new.training and new.rnn[0].training
    assert not new.rnn[0].norm.training and not new.rnn[1].training
    assert torch.allclose(new(x)[0], want, atol=1e-6)


@pytest.mark.parametrize("to_stock", [False, True])
def test_hooks_stay(to_stock):
    net, turn = swap(to_stock)
    seen = []
    handle = net.register_forward_hook(lambda *_: seen.append("net"))
    net.rnn[1].register_forward_pre_hook(lambda *_: seen.append("layer"))
    new = turn(net)
    new(torch.randn(3, 7, 6))
    assert seen == ["layer", "net"]
    handle.remove()
    new(torch.randn(3, 7, 6))
    assert seen == ["layer", "net", "layer"]


@pytest.mark.parametrize("training", [False, True])
def test_restored_in_16_bits(training):
    fast = LiGRU(5, [3, 7, 6], dropout=0.5).bfloat16().train(training)
    output, _ = speechbrain_ligru_fast.restore(fast)(
        # Of as many utterances as the layer was built for: when stock draws
        # masks for another number, they are float32.
        torch.randn(3, 7, 6, dtype=torch.bfloat16)
    )
    assert output.dtype == torch.bfloat16


def test_stocks_identity_is_its_layer_norm():
    net = STOCK_LIGRU(
        hidden_size=5, input_shape=[3, 7, 6], normalization="identity"
    )
    x = torch.randn(3, 7, 6)
    want = net(x)[0]
    fast = speechbrain_ligru_fast.accelerate(net)
    assert torch.allclose(fast(x)[0], want, atol=1e-6)
    assert torch.equal(speechbrain_ligru_fast.restore(fast)(x)[0], want)
    none = LiGRU(5, [3, 7, 6], normalization="identity")
    with pytest.raises(ValueError, match="got 'identity'"):
        speechbrain_ligru_fast.restore(none)


def test_what_a_stock_layer_computes_with_is_kept():
    """What was set after it was built counts, layer by layer."""
    net = STOCK_LIGRU(5, [3, 7, 6], num_layers=2, dropout=0.5, re_init=False)
    for layer in net.rnn:
        layer.drop.p = 0.0
    net.rnn[0].act = nn.Tanh()
    del net.rnn[1].act
    net.rnn[1].act = torch.sin
    fast = speechbrain_ligru_fast.accelerate(net)
    assert [one.dropout for one in fast.rnn] == [0.0, 0.0]
    assert [one.nonlinearity for one in fast.rnn] == ["tanh", "sin"]
    # The same back; the rates of the two layers differ now.
    fast.dropout, fast.rnn[1].dropout = 0.7, 0.3
    x = torch.randn(3, 7, 6)
    want = fast.eval()(x)[0]
    back = speechbrain_ligru_fast.restore(fast)
    assert [one.drop.p for one in back.rnn] == [0.0, 0.3]
    assert back.rnn[0].drop_masks.all() and not back.rnn[1].drop_masks.all()
    assert torch.allclose(back(x)[0], want, atol=1e-6)


def test_an_epsilon_set_later_is_kept():
    x = torch.randn(3, 7, 6)
    for cls, turn in (
        (sb.nnet.RNN.SLiGRU, speechbrain_ligru_fast.accelerate),
        (SLiGRU, speechbrain_ligru_fast.restore),
    ):
        net = cls(5, [3, 7, 6]).eval()
        default = net(x)[0]
        net.rnn[0].layer_norm.eps = 0.1
        want = net(x)[0]
        assert not torch.allclose(want, default, atol=1e-3)
        assert torch.allclose(turn(net)(x)[0], want, atol=1e-6)


def test_an_unknown_activation():
    """Stock runs its name as ReLU; as a module it can't be had."""
    net = STOCK_LIGRU(5, [3, 7, 6], nonlinearity="elu").eval()
    x = torch.randn(3, 7, 6)
    want = net(x)[0]
    fast = speechbrain_ligru_fast.accelerate(net)
    assert fast.nonlinearity == "relu"
    assert torch.allclose(fast(x)[0], want, atol=1e-6)
    for act in (nn.ELU(), nn.LeakyReLU(0.2), torch.cos):
        net = STOCK_LIGRU(5, [3, 7, 6])
        del net.rnn[0].act
        net.rnn[0].act = act
        with pytest.raises(ValueError, match="act: got .*allowed are ReLU"):
            speechbrain_ligru_fast.accelerate(net)


def test_a_restored_layer_takes_the_states_it_took():
    net = STOCK_LIGRU(5, [3, 7, 6], bidirectional=True).eval()
    x, hx = torch.randn(3, 7, 6), torch.zeros(2, 3, 5)
    want = net(x, hx)[0]
    there = speechbrain_ligru_fast.accelerate(net)
    back = speechbrain_ligru_fast.restore(there)
    assert torch.equal(back(x, hx)[0], want)


def test_a_subclass_is_left_alone_and_named(caplog):
    class Mine(STOCK_LIGRU):
        pass

    net = nn.ModuleDict({"RNN": Mine(hidden_size=5, input_shape=[3, 7, 6])})
    assert type(speechbrain_ligru_fast.accelerate(net)["RNN"]) is Mine
    assert "Mine stays: a subclass of LiGRU" in caplog.text


def files(model):
    """A whole model through each way that pickles it."""
    yield copy.deepcopy(model)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(model, protocol))
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    yield torch.load(file, weights_only=False)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("before", [False, True])
def test_whole_stock_models_in_files_around_replace(registered, model, before):
    """A stock layer stays one: saved before, or restored and saved after."""
    registered(replace=not before)
    ours = getattr(speechbrain_ligru_fast, model)(5, SHAPE, dropout=0.2)
    theirs = speechbrain_ligru_fast.restore(nn.Sequential(ours)).eval()
    assert type(theirs[0]).__module__ == "speechbrain.nnet.RNN"
    x = torch.randn(SHAPE)
    want = theirs(x)[0]
    text = pickle.dumps(theirs)
    assert b"speechbrain_ligru_fast" not in text
    registered(replace=before)
    for loaded in (pickle.loads(text), *files(theirs)):
        assert type(loaded[0]) is type(theirs[0])
        assert torch.equal(loaded(x)[0], want)


def test_fast_models_in_files_after_replace(registered):
    registered(replace=True)
    model = small(stock_lobe.CRDNN).eval()
    assert type(model.RNN) is LiGRU
    x = twins.data(SHAPE).detach()
    for loaded in files(model):
        assert type(loaded.RNN) is LiGRU
        assert torch.equal(loaded(x), model(x))


def test_replaced_classes_know_backends_and_have_subclasses(registered):
    registered(replace=True)
    cls = sb.nnet.RNN.LiGRU
    assert cls is STOCK_LIGRU
    assert small(rnn_class=cls, backend="reference").RNN.backend == "reference"
    assert "backend" in inspect.signature(cls).parameters

    class Mine(cls):
        pass

    assert type(Mine(hidden_size=5, input_shape=[3, 7, 6])) is Mine
    registered(replace=False)
    assert "backend" not in inspect.signature(cls).parameters
    assert type(cls(hidden_size=5, input_shape=[3, 7, 6])) is cls


@pytest.mark.parametrize("turn", ["accelerate", "restore"])
@pytest.mark.parametrize("scripted", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_a_model_in_which_nothing_is_swapped(turn, scripted, caplog):
    cls = {"accelerate": STOCK_LIGRU, "restore": LiGRU}[turn]
    part = nn.Linear(2, 3)
    if scripted:
        part = torch.jit.script(cls(hidden_size=5, input_shape=[3, 7, 6]))
    getattr(speechbrain_ligru_fast, turn)(nn.Sequential(part))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "No layer swapped: Sequential holds no" in record.getMessage()
    assert ("scripted" in record.getMessage()) == scripted
