"""Layers of a few frames: one call a layer, and the same numbers."""

import copy
import itertools

import pytest
import torch
import twins

from speechbrain_ligru_fast import LiGRU, SLiGRU
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES

NORMS = ("batchnorm", "layernorm", "identity")


def pair(model, norm="batchnorm", dtype=torch.float64, train=True, **options):
    """A layer with parameters at random, and its twin of one backend."""
    torch.manual_seed(0)
    name = "normalization" if model is LiGRU else "ff_normalization"
    layer = model(5, (3, 2, 4), num_layers=2, **{name: norm}, **options)
    layer = layer.to(dtype).train(train)
    for parameter in layer.parameters():
        if parameter.dim() == 1:
            parameter.data.normal_()
    twin = copy.deepcopy(layer)
    twin.set_backend("reference")
    return layer, twin


def results(layer, x, hx=None, hidden=True):
    """All that a training step makes, by name."""
    x = x.clone().requires_grad_()
    hx = None if hx is None else hx.clone().requires_grad_()
    torch.manual_seed(1)  # Of dropout
    found = dict(zip(("output", "hidden"), layer(x, hx)))
    loss = (
        found["output"].sin() * torch.arange(x.size(0)).view(-1, 1, 1)
    ).sum()
    if hidden:
        loss = loss + found["hidden"].square().sum()
    loss.backward()
    found |= {"x": x.grad, **dict(layer.named_buffers())}
    found |= {name: p.grad for name, p in layer.named_parameters()}
    if hx is not None:
        found["hx"] = hx.grad
    return found


def compare(layer, twin, *arguments, **options):
    got = results(layer, *arguments, **options)
    want = results(twin, *arguments, **options)
    for name in want:
        assert twins.error(got[name].double(), want[name].double()) < 1e-12, (
            name
        )


@pytest.fixture
def computed(monkeypatch):
    """Whether each call of a model was one call a layer."""
    found = []
    # Its own: another test may have imported the package anew.
    few_frames = LiGRU.forward.__globals__["few_frames"]
    compute = few_frames.compute

    def seen(*arguments):
        result = compute(*arguments)
        found.append(result is not None)
        return result

    monkeypatch.setattr(few_frames, "compute", seen)
    return found


@pytest.mark.parametrize("model", [LiGRU, SLiGRU])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("train", [False, True])
def test_equals_the_reference(model, bidirectional, norm, train, computed):
    options = itertools.product(
        (1, 2, 3, 6), (1, 3), zip(NONLINEARITIES, (0, 0.3, 0, 0.3))
    )
    for steps, batch, (nonlinearity, dropout) in options:
        if norm == "batchnorm" and train and steps * batch < 2:
            if not bidirectional:
                continue
        layer, twin = pair(
            model, norm, train=train, bidirectional=bidirectional,
            nonlinearity=nonlinearity, dropout=dropout,
        )  # fmt: skip
        x = torch.randn(batch, steps, 4, dtype=torch.float64)
        compare(layer, twin, x)
        hx = torch.randn(2 + 2 * bidirectional, batch, 5, dtype=torch.float64)
        compare(layer, twin, x, hx, hidden=False)
    assert len(computed) > 16 and all(computed[::2])
    assert not any(computed[1::2])


@pytest.mark.parametrize(
    ("batch", "steps", "hidden", "few"),
    [
        *[(17, 3, 8, True), (17, 4, 8, False), (2, 3, 513, True)],
        *[(2, 4, 513, False), (1, 20, 512, True), (1, 21, 512, False)],
        *[(4, 8, 512, True), (4, 9, 512, False), (5, 6, 128, True)],
        *[(5, 7, 128, False), (5, 4, 129, True), (5, 5, 129, False)],
    ],
)
def test_how_many_frames_are_few(batch, steps, hidden, few, computed):
    model = LiGRU(hidden, (None, None, 3)).eval()
    with torch.no_grad():
        model(torch.rand(batch, steps, 3))
    assert computed == [few]


@pytest.mark.parametrize(("batch", "most"), [(1, 6), (5, 4)])
def test_fewer_are_few_for_gradients(batch, most, computed):
    model = LiGRU(129, (None, None, 3))
    for steps in (most, most + 1):
        model(torch.rand(batch, steps, 3))
    assert computed == [True, False]


def test_some_affine_parameters_are_frozen_or_absent():
    layer, twin = pair(
        SLiGRU, "layernorm", bias=False, recurrent_elementwise_affine=True
    )
    for one in (layer, twin):
        one.rnn[1].layer_norm.weight.requires_grad_(False)
        one.rnn[0].u.weight.requires_grad_(False)
    x = torch.randn(3, 2, 4, dtype=torch.float64)
    got, want = results(layer, x), results(twin, x)
    for name, value in want.items():
        assert (got[name] is None) == (value is None), name
        if value is not None:
            assert twins.error(got[name], value) < 1e-12, name


@pytest.mark.parametrize("model", [LiGRU, SLiGRU])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("train", [False, True])
def test_a_second_backward(model, norm, train):
    layer, _ = pair(
        model, norm, train=train, bidirectional=True, nonlinearity="tanh"
    )
    hx = torch.randn(4, 2, 5, dtype=torch.float64, requires_grad=True)
    x = torch.randn(2, 2, 4, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(layer, (x, hx), fast_mode=True)
    torch.autograd.gradgradcheck(layer, (x, hx), fast_mode=True)


@pytest.mark.parametrize("model", [LiGRU, SLiGRU])
@pytest.mark.parametrize("norm", NORMS)
def test_gradients_in_a_batch(model, norm):
    layer, _ = pair(model, norm, train=False, bidirectional=True)
    x = torch.randn(2, 2, 4, dtype=torch.float64)
    one, both = (
        torch.autograd.functional.jacobian(
            lambda x: layer(x)[0], x, vectorize=batched
        )
        for batched in (False, True)
    )
    torch.testing.assert_close(one, both)
    x.requires_grad_()
    output = layer(x)[0]
    grads = torch.eye(output.numel()).view(-1, *output.shape).to(x)
    rows = torch.func.vmap(
        lambda grad: torch.autograd.grad(output, x, grad, retain_graph=True)[0]
    )(grads)
    torch.testing.assert_close(rows.view_as(one), one)


@pytest.mark.parametrize("directions", [1, 2])
def test_output_and_hidden_have_memory_of_their_own(directions):
    layer, _ = pair(LiGRU, train=False, bidirectional=directions == 2)
    with torch.no_grad():
        output, hidden = layer(torch.randn(3, 1, 4).double())
        before = hidden.clone()
        output.zero_()
    assert torch.equal(hidden, before) and before.count_nonzero() > 0


def replaced_w(layer):
    layer.rnn[0].w = torch.nn.Sequential(layer.rnn[0].w)


def without_statistics(layer):
    layer.rnn[0].norm.running_mean = layer.rnn[0].norm.running_var = None


def hook(name, register):
    def change(layer):
        part = layer.rnn[1] if not name else getattr(layer.rnn[1], name)
        getattr(part, register)(lambda *_: None)

    return change


@pytest.mark.parametrize(
    "change",
    [
        replaced_w,
        *(hook(part, "register_forward_hook") for part in ("", "w", "norm")),
        hook("w", "register_full_backward_hook"),
        lambda layer: layer.set_backend("torchscript"),
        lambda layer: torch.nn.utils.parametrizations.weight_norm(
            layer.rnn[0].w
        ),
        lambda layer: setattr(layer.rnn[0].norm, "track_running_stats", False),
        without_statistics,
    ],
)
def test_what_must_be_called_is_called(change, computed):
    layer, twin = pair(LiGRU)
    for one in (layer, twin):
        change(one)
    twin.set_backend("reference")
    compare(layer, twin, torch.randn(3, 2, 4, dtype=torch.float64))
    assert computed == [False, False]


@pytest.mark.parametrize(
    "change, said",
    [
        (dict(x=torch.randn(3, 2, 5)), "x: got 5 features, expected 4"),
        (dict(x=torch.randn(3, 2, 4).double()), "x: got dtype torch.float64"),
        (dict(hx=torch.zeros(2, 4, 5)), "hx: got shape"),
        (dict(hx=torch.zeros(2, 3, 5).double()), "hx: got dtype torch.float64"),
        (dict(hx=torch.zeros(1, 3, 5)), "hx: got shape"),
        (dict(hx=torch.zeros(2, 1, 5)), "hx: got shape"),
        (dict(hx=torch.tensor(0.0)), "hx: got shape"),
        (dict(lengths=torch.tensor([1.0, 2.0, 1.0])), "lengths: got"),
    ],
)
def test_bad_input_is_refused_as_ever(change, said):
    layer, _ = pair(LiGRU, dtype=torch.float32)
    before = copy.deepcopy(layer.state_dict())
    given = {"x": torch.randn(3, 2, 4)} | change
    with pytest.raises((ValueError, TypeError), match=said.replace("(", r"\(")):
        layer(**given)
    for name, value in layer.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_under_autocast_and_transforms_modules_are_called(computed):
    layer, _ = pair(LiGRU, dtype=torch.float32, train=False)
    x = torch.randn(3, 1, 4)
    want = layer(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)
    each = torch.func.vmap(lambda row: layer(row.unsqueeze(0))[0][0])(x)
    _, tangent = torch.func.jvp(lambda x: layer(x)[0], (x,), (x,))
    assert computed == [True, False, False, False]
    torch.testing.assert_close(each, want)
    assert tangent.count_nonzero() > 0
