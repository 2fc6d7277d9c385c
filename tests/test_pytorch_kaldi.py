"""PyTorch-Kaldi's liGRU checkpoints give the output of its equations."""

import pathlib

import pytest
import torch
import twins
from torch import nn

from speechbrain_ligru_fast import LiGRU, from_pytorch_kaldi

FEATURES, HIDDEN = 5, 6


def make(layers=2, bidirectional=True, bias=False):
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
            state |= {
                f"bn_w{gate}.{i}.weight": rand(HIDDEN) + 1,
                f"bn_w{gate}.{i}.bias": rand(HIDDEN),
                f"bn_w{gate}.{i}.running_mean": rand(HIDDEN),
                f"bn_w{gate}.{i}.running_var": rand(HIDDEN) ** 2 + 0.3,
                f"bn_w{gate}.{i}.num_batches_tracked": torch.tensor(7),
            }
        state[f"ln.{i}.gamma"] = torch.ones(HIDDEN).double()
        state[f"ln.{i}.beta"] = torch.zeros(HIDDEN).double()
        inputs = HIDDEN * (1 + bidirectional)
    return state


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
    """The published equations of (T, B, F), a gate and a step at a time.

    Training updates the checkpoint's statistics; ``keep`` is 1 - dropout.
    """

    def project(name, i, value):
        out = nn.functional.linear(
            value, state[f"{name}.{i}.weight"], state.get(f"{name}.{i}.bias")
        )
        if not norm:
            return out
        names = ("running_mean", "running_var", "weight", "bias")
        norms = [state[f"bn_{name}.{i}.{key}"] for key in names]
        flat = out.reshape(-1, HIDDEN)
        normed = nn.functional.batch_norm(flat, *norms, training, 0.05)
        return normed.reshape(out.shape)

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
    options = {"bidirectional": net.bidirectional, **options}
    want = published(state, x.transpose(0, 1), **options).transpose(0, 1)
    assert want.abs().max() > 0.1
    with torch.no_grad():
        assert twins.error(net(x)[0], want) < 1e-12


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_evaluation_and_training(bidirectional, bias):
    state = make(bidirectional=bidirectional, bias=bias)
    net = from_pytorch_kaldi(state)
    assert net.bidirectional == bidirectional and not net.training
    assert_same(net, state)
    # Statistics are counted as there.
    assert_same(net.train(), state, training=True)
    assert_same(net.eval(), state)


@pytest.mark.parametrize("dropout", [0.2, [0.2, 0.2]])
def test_evaluation_after_dropout(dropout):
    state = make()
    net = from_pytorch_kaldi(state, dropout=dropout)
    assert net.dropout == 0.2
    assert_same(net, state, keep=0.8)


@pytest.mark.parametrize("act, dropout", [("tanh", 0), ("relu", 0.3)])
def test_without_norm(act, dropout):
    state = forget_norm(make(bias=True))
    net = from_pytorch_kaldi(state, nonlinearity=act, dropout=dropout)
    # Dropout in training is random.
    net.train(not dropout)
    assert_same(net, state, norm=False, act=act, keep=1 - dropout)


def test_biases_and_no_norms():
    state = without("bn_", bias=True)
    net = from_pytorch_kaldi(state)
    assert_same(net, state, norm=False)
    # As the docstring says, for who would load it.
    new = LiGRU(
        HIDDEN, (1, 1, FEATURES), normalization="identity", num_layers=2,
        bidirectional=True,
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="Unexpected.*rnn.0.w.bias"):
        new.load_state_dict(net.state_dict())
    from_pytorch_kaldi(state).load_state_dict(net.state_dict())


def test_as_saved_by_several_gpus():
    state = make(layers=1)
    wrapped = {f"module.{key}": value for key, value in state.items()}
    saved = {"model_par": wrapped, "optimizer_par": {}}
    assert_same(from_pytorch_kaldi(saved, bidirectional=True), state)


def without(*names, **options):
    """A checkpoint without what begins with one of the names."""
    state = make(**options)
    return {k: v for k, v in state.items() if not k.startswith(names)}


def shaped(name, *shape, dtype=torch.float32):
    """A checkpoint in which an entry has another shape or type."""
    return make(bias=True) | {name: torch.ones(shape, dtype=dtype)}


SECOND = ("wh.1", "wz.1", "uh.1", "uz.1", "bn_wh.1", "bn_wz.1", "ln.1")
WRONG_VALUES = [
    # What ours does not have.
    ({"a.weight": 0}, {}, "no wh.0.weight: .* It has a.weight"),
    (make(layers=1), {}, "bidirectional: one layer"),
    (make(), {"bidirectional": False}, "bidirectional: got F.* reads 2"),
    (make(), {"nonlinearity": "elu"}, "nonlinearity: got 'elu'"),
    (make(), {"nonlinearity": "tanh", "dropout": 0.2},
     "dropout: got 0.2 with tanh"),
    (make() | {"ln.1.gamma": torch.full((HIDDEN,), 0.9)}, {},
     "ln.1: trained with ligru_use_laynorm"),
    (shaped("bn0.weight", FEATURES), {}, "bn0: the check"),
    (shaped("wh.1.weight", 4, 12), {}, "ligru_lay: layers of different sizes"),
    # What is broken.
    (without("uz.1.weight"), {}, "lacks uz.1.weight$"),
    (without("wh.1.weight"), {}, "lacks wh.1.weight$"),
    (without("bn_wh.1.running_var", "uh.0"), {},
     "lacks uh.0.weight, bn_wh.1.running_var$"),
    (without("wz.0.bias", bias=True), {}, "lacks wz.0.bias$"),
    (without("bn_wz.0", bias=True), {},
     "lacks bn_wz.0.weight, bn_wz.0.bias"),
    (without("bn_"), {}, "lacks bn_wh.0.weight, "),
    (without("ln.0.beta"), {}, "lacks ln.0.beta$"),
    (without(*SECOND) | {"wh.2.weight": torch.ones(HIDDEN, 2 * HIDDEN)}, {},
     "got layers 0, 2, expected all from 0 on"),
    (shaped("wr.0.weight", 1), {}, "got wr.0.weight, which a"),
    (shaped("wh.0.weight", 6), {}, "wh.0.weight: got shape .6., expected"),
    (shaped("wh.1.weight", 6, 7), {},
     "wh.1.weight: got shape .6, 7., expected .6, 6. or, bid.*, .6, 12"),
    (shaped("wz.0.weight", 6, 4), {}, "wz.0.*: got .*6, 4., expected .6, 5"),
    (shaped("wz.1.weight", 6, 6), {}, "wz.1.*: got .*6, 6., expected .6, 12"),
    (shaped("uh.1.weight", 6, 5), {}, "uh.1.*: got .*6, 5., expected .6, 6"),
    (shaped("wz.1.bias", 5), {}, "wz.1.bias: got shape .5., expected .6."),
    (shaped("bn_wz.0.running_mean", 1), {},
     "bn_wz.0.running_mean: got shape .1., expected .6."),
    (shaped("ln.0.gamma", 1), {}, "ln.0.gamma: got shape .1., expected .6."),
    # What is no option.
    (make(), {"dropout": [0.2, 0.3]},
     r"dropout: got \[0.2, 0.3\], expected equal rates"),
    (make(), {"dropout": [0.2]}, "dropout: got 1 rates, expected 2, one a la"),
    (make(), {"dropout": 1.0}, "dropout: got 1.0, expected 0 to below 1"),
    (make(), {"dropout": -0.1}, "dropout: got -0.1"),
    (make(), {"dropout": [0.2, float("nan")]}, "dropout: got nan"),
]  # fmt: skip
WRONG_TYPES = [
    # What is no checkpoint.
    (None, {}, "state_dict: got NoneType, expected a dict of tensors"),
    ([1], {}, "state_dict: got list"),
    (pathlib.Path("a.pkl"), {}, r"state_dict: got \w*Path,"),
    ({"model_par": None}, {}, "model_par: got NoneType"),
    ({0: torch.ones(1)}, {}, "state_dict: got key 0"),
    (make() | {"uz.0.weight": [[1.0]]}, {}, "uz.0.weight: got list"),
    (shaped("wh.0.weight", 6, 5, dtype=torch.int64), {},
     "wh.0.weight: got torch.int64, expected a floating point"),
    # What is no option.
    (make(), {"dropout": "0.2"}, "dropout: got '0.2', expected a number or a "),
    (make(layers=1), {"bidirectional": "False"}, "bidir.*: got 'False', exp"),
    (make(layers=1), {"bidirectional": 1}, "bidirectional: got 1, exp"),
    (make(layers=1), {"bidirectional": 0.0}, "bidirectional: got 0.0, exp"),
]  # fmt: skip


@pytest.mark.parametrize(
    "error, case",
    [(ValueError, case) for case in WRONG_VALUES]
    + [(TypeError, case) for case in WRONG_TYPES],
)
def test_what_is_refused(error, case):
    state, options, words = case
    with pytest.raises(error, match=words):
        from_pytorch_kaldi(state, **options)
