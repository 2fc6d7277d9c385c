"""PyTorch-Kaldi's liGRU checkpoints give the output of its equations."""

import pathlib

import pytest
import torch
import twins
from torch import nn

from speechbrain_ligru_fast import LiGRU, from_pytorch_kaldi

FEATURES, HIDDEN = 5, 6


def make(layers=2, bidirectional=True, bias=False, **extra):
    """A checkpoint away from its initial state, in float64."""
    g = torch.Generator().manual_seed(1)

    def rand(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64) * 0.5

    state, inputs = {}, FEATURES
    for i in range(layers):
        for gate in "hz":
            state[f"w{gate}.{i}.weight"] = rand(HIDDEN, inputs)
            state[f"u{gate}.{i}.weight"] = rand(HIDDEN, HIDDEN)
            if bias:
                state[f"w{gate}.{i}.bias"] = rand(HIDDEN)
            norm = f"bn_w{gate}.{i}"
            state[f"{norm}.weight"] = rand(HIDDEN) + 1
            state[f"{norm}.bias"] = rand(HIDDEN)
            state[f"{norm}.running_mean"] = rand(HIDDEN)
            state[f"{norm}.running_var"] = rand(HIDDEN) ** 2 + 0.3
            state[f"{norm}.num_batches_tracked"] = torch.tensor(7)
        state[f"ln.{i}.gamma"] = torch.ones(HIDDEN).double()
        state[f"ln.{i}.beta"] = torch.zeros(HIDDEN).double()
        inputs = HIDDEN * (2 if bidirectional else 1)
    return state | extra


def forget_norm(state):
    """As saved where ligru_use_batchnorm is off: the norms never ran."""
    for key, value in state.items():
        if key.endswith("running_mean"):
            value.zero_()
        elif key.endswith("running_var"):
            value.fill_(1)
    return state


def published(
    state, x, bidirectional, norm=True, training=False, keep=1.0, act="relu"
):
    """The published equations, one gate and one step at a time.

    The checkpoint's running statistics are updated in place in training.

    Arguments
    ---------
    x : torch.Tensor
        (T, B, F).
    keep : float
        1 - dropout.
    """

    def project(name, i, value):
        out = value @ state[f"{name}.{i}.weight"].T
        if f"{name}.{i}.bias" in state:
            out = out + state[f"{name}.{i}.bias"]
        if not norm:
            return out
        flat = nn.functional.batch_norm(
            out.reshape(-1, HIDDEN),
            *(
                state[f"bn_{name}.{i}.{key}"]
                for key in ("running_mean", "running_var", "weight", "bias")
            ),
            training=training,
            momentum=0.05,
        )
        return flat.reshape(out.shape)

    for i in range(sum(key.startswith("uh.") for key in state)):
        batch = x.shape[1]
        if bidirectional:
            x = torch.cat([x, x.flip(0)], 1)
        wh, wz = project("wh", i, x), project("wz", i, x)
        h, states = torch.zeros_like(wh[0]), []
        for t in range(len(x)):
            z = torch.sigmoid(wz[t] + h @ state[f"uz.{i}.weight"].T)
            a = wh[t] + h @ state[f"uh.{i}.weight"].T
            h = z * h + (1 - z) * getattr(torch, act)(a) * keep
            states.append(h)
        x = torch.stack(states)
        if bidirectional:
            x = torch.cat([x[:, :batch], x[:, batch:].flip(0)], 2)
    return x


def assert_same(net, state, **options):
    x = twins.data((3, 11, FEATURES)).detach()
    want = published(state, x.transpose(0, 1), **options).transpose(0, 1)
    assert want.abs().max() > 0.1
    with torch.no_grad():
        assert twins.error(net(x)[0], want) < 1e-12


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_evaluation(bidirectional, bias):
    state = make(bidirectional=bidirectional, bias=bias)
    net = from_pytorch_kaldi(state)
    assert net.bidirectional == bidirectional and not net.training
    assert_same(net, state, bidirectional=bidirectional)


def test_evaluation_after_dropout():
    state = make()
    net = from_pytorch_kaldi(state, dropout=0.2)
    assert net.dropout == 0.2
    assert_same(net, state, bidirectional=True, keep=0.8)


@pytest.mark.parametrize("bias", [False, True])
def test_training_and_its_statistics(bias):
    state = make(bias=bias)
    net = from_pytorch_kaldi(state).train()
    assert_same(net, state, bidirectional=True, training=True)
    net.eval()
    assert_same(net, state, bidirectional=True)


@pytest.mark.parametrize("act", ["relu", "tanh"])
def test_without_norm(act):
    state = forget_norm(make(bias=True))
    net = from_pytorch_kaldi(state, nonlinearity=act).train()
    assert_same(net, state, bidirectional=True, norm=False, act=act)


def test_dropout_without_norm():
    state = forget_norm(make(bias=True))
    net = from_pytorch_kaldi(state, dropout=0.3)
    assert_same(net, state, bidirectional=True, norm=False, keep=0.7)


def test_biases_and_no_norms():
    state = make(bias=True)
    state = {k: v for k, v in state.items() if not k.startswith("bn_")}
    net = from_pytorch_kaldi(state)
    assert_same(net, state, bidirectional=True, norm=False)
    # As the docstring says, for who would load it.
    new = LiGRU(
        HIDDEN,
        (1, 1, FEATURES),
        normalization="identity",
        num_layers=2,
        bidirectional=True,
    )
    with pytest.raises(RuntimeError, match="Unexpected.*rnn.0.w.bias"):
        new.load_state_dict(net.state_dict())
    from_pytorch_kaldi(state).load_state_dict(net.state_dict())


def test_dropout_of_every_layer():
    state = make()
    net = from_pytorch_kaldi(state, dropout=[0.2, 0.2])
    assert net.dropout == 0.2
    assert_same(net, state, bidirectional=True, keep=0.8)


def test_as_saved_by_several_gpus():
    state = make(layers=1)
    wrapped = {f"module.{key}": value for key, value in state.items()}
    net = from_pytorch_kaldi(
        {"model_par": wrapped, "optimizer_par": {}}, bidirectional=True
    )
    assert_same(net, state, bidirectional=True)


@pytest.mark.parametrize(
    "state, options, words",
    [
        ({"a.weight": 0}, {}, "no wh.0.weight: .* It has a.weight"),
        (make(layers=1), {}, "bidirectional: one layer"),
        (
            make(),
            {"bidirectional": False},
            r"bidirectional: got False, .* reads 2",
        ),
        (make(), {"nonlinearity": "elu"}, "nonlinearity: got 'elu'"),
        (
            make(),
            {"nonlinearity": "tanh", "dropout": 0.2},
            "dropout: got 0.2 with tanh",
        ),
        (
            make(**{"ln.1.gamma": torch.full((HIDDEN,), 0.9)}),
            {},
            "ln.1: trained with ligru_use_laynorm",
        ),
        (make(**{"bn0.weight": torch.ones(FEATURES)}), {}, "bn0: the check"),
        (
            make() | {"wh.1.weight": torch.ones(4, 12)},
            {},
            "ligru_lay: layers of different sizes",
        ),
    ],
    ids=range(8),
)
def test_what_ours_does_not_have(state, options, words):
    with pytest.raises(ValueError, match=words):
        from_pytorch_kaldi(state, **options)


def without(*names, **options):
    """A checkpoint without what begins with one of the names."""
    state = make(**options)
    return {k: v for k, v in state.items() if not k.startswith(names)}


def reshaped(name, *shape):
    return make(bias=True) | {name: torch.ones(*shape)}


@pytest.mark.parametrize(
    "state, words",
    [
        (without("uz.1.weight"), "lacks uz.1.weight$"),
        (without("wh.1.weight"), "lacks wh.1.weight$"),
        (
            without("bn_wh.1.running_var", "uh.0"),
            "lacks uh.0.weight, bn_wh.1.running_var$",
        ),
        (without("wz.0.bias", bias=True), "lacks wz.0.bias$"),
        (without("bn_wz.0", bias=True), "lacks bn_wz.0.weight, bn_wz.0.bias"),
        (without("bn_"), "lacks bn_wh.0.weight, "),
        (without("ln.0.beta"), "lacks ln.0.beta$"),
        (
            without(
                "wh.1", "wz.1", "uh.1", "uz.1", "bn_wh.1", "bn_wz.1", "ln.1"
            )
            | {"wh.2.weight": torch.ones(HIDDEN, 2 * HIDDEN)},
            "got layers 0, 2, expected all from 0 on",
        ),
        (make(**{"wr.0.weight": torch.ones(1)}), "got wr.0.weight, which a"),
        (reshaped("wh.0.weight", 6), r"wh.0.weight: got shape .6., expected"),
        (
            reshaped("wh.1.weight", 6, 7),
            r"wh.1.weight: got shape .6, 7., expected .6, 6. or, bid.*, .6, 12",
        ),
        (
            reshaped("wz.0.weight", 6, 4),
            r"wz.0.weight: got shape .6, 4., expected .6, 5",
        ),
        (
            reshaped("wz.1.weight", 6, 6),
            r"wz.1.weight: got shape .6, 6., expected .6, 12",
        ),
        (
            reshaped("uh.1.weight", 6, 5),
            r"uh.1.weight: got shape .6, 5., expected .6, 6",
        ),
        (reshaped("wz.1.bias", 5), r"wz.1.bias: got shape .5., expected .6."),
        (
            reshaped("bn_wz.0.running_mean", 1),
            r"bn_wz.0.running_mean: got shape .1., expected .6.",
        ),
        (reshaped("ln.0.gamma", 1), r"ln.0.gamma: got shape .1., expected .6."),
    ],
    ids=range(17),
)
def test_broken_checkpoints(state, words):
    with pytest.raises(ValueError, match=words):
        from_pytorch_kaldi(state)


@pytest.mark.parametrize(
    "state, words",
    [
        (None, "state_dict: got NoneType, expected a dict of tensors"),
        ([1], "state_dict: got list"),
        (pathlib.Path("a.pkl"), r"state_dict: got \w*Path,"),
        ({"model_par": None}, "model_par: got NoneType"),
        ({0: torch.ones(1)}, "state_dict: got key 0"),
        (make() | {"uz.0.weight": [[1.0]]}, "uz.0.weight: got list"),
        (
            make() | {"wh.0.weight": torch.ones(6, 5, dtype=torch.int64)},
            "wh.0.weight: got torch.int64, expected a floating point",
        ),
    ],
    ids=range(7),
)
def test_no_checkpoints(state, words):
    with pytest.raises(TypeError, match=words):
        from_pytorch_kaldi(state)


@pytest.mark.parametrize(
    "dropout, error, words",
    [
        ([0.2, 0.3], ValueError, r"got \[0.2, 0.3\], expected equal rates"),
        ([0.2], ValueError, "got 1 rates, expected 2, one a layer"),
        (1.0, ValueError, "got 1.0, expected 0 to below 1"),
        (-0.1, ValueError, "got -0.1"),
        ([0.2, float("nan")], ValueError, "got nan"),
        ("0.2", TypeError, "got '0.2', expected a number or a list"),
    ],
    ids=str,
)
def test_bad_dropouts(dropout, error, words):
    with pytest.raises(error, match=f"dropout: {words}"):
        from_pytorch_kaldi(make(), dropout=dropout)


@pytest.mark.parametrize("value", ["False", 1, 0.0])
def test_bidirectional_is_a_bool(value):
    with pytest.raises(TypeError, match=f"bidirectional: got {value!r}, exp"):
        from_pytorch_kaldi(make(layers=1), bidirectional=value)
