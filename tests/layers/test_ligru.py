"""LiGRU and SLiGRU against SpeechBrain's, whose numbers are the truth."""

import itertools

import pytest
import torch
import twins

from speechbrain_ligru_fast.backends.spec import NONLINEARITIES

pytestmark = pytest.mark.usefixtures("poisoned_memory")

NORMALIZATIONS = ("batchnorm", "layernorm")
# Odd on purpose, so that a tile, a vector or a stride that only fits round
# sizes is caught. Seven: prime to the number of values of every option.
SHAPES = [
    ((3, 5, 4), 7),
    ((1, 13, 5), 33),
    ((3, 1, 3), 7),
    ((2, 13, 9), 1),
    ((1, 5, 3), 33),
    ((3, 5, 4, 2), 7),
    ((17, 4, 9), 40),
]
# Stock scrambles the final state of two directions.
HIDDEN = {False: (), True: ("hidden",)}


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_every_option(model, bidirectional, training):
    """Every combination, on every backend; gates kept or made again."""
    affine = (False, True) if model == "SLiGRU" else (False,)
    options = itertools.product(
        (1, 2), NONLINEARITIES, NORMALIZATIONS, (True, False), affine,
        (False, True),
    )  # fmt: skip
    shapes = itertools.cycle(SHAPES)
    for number, (layers, act, norm, bias, affine, given) in enumerate(options):
        shape, hidden = next(shapes)
        more = {"recurrent_elementwise_affine": True} if affine else {}
        ours, theirs = twins.build(
            model, shape, hidden_size=hidden, num_layers=layers,
            nonlinearity=act, normalization=norm, bias=bias,
            bidirectional=bidirectional, **more,
        )  # fmt: skip
        x, hx = twins.data(shape), None
        if given:
            rows = layers * (1 + bidirectional)
            hx = twins.data((rows, shape[0], hidden), seed=6)
        state = {k: v.clone() for k, v in ours.state_dict().items()}
        want = twins.run(theirs.train(training), x, hx)
        for layer in ours.train(training).rnn:
            layer.recompute = number % 3 == 0
        # Nothing is padding.
        lengths = torch.ones(shape[0]) if number % 5 == 0 else None
        for backend in twins.available():
            ours.load_state_dict(state)
            ours.set_backend(backend)
            got = twins.run(ours, x, hx, lengths=lengths)
            twins.assert_equal(got, want, skip=HIDDEN[bidirectional])


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("hidden_size", [1, 17, 40])
def test_one_frame(backend, model, hidden_size):
    """It has no variance in one direction; stock counts it twice."""
    ours, theirs = twins.build(
        model, (1, 1, 1), backend, hidden_size=hidden_size, bidirectional=True
    )
    x = twins.data((1, 1, 1))
    got, want = twins.run(ours, x), twins.run(theirs, x)
    # Constant under its batch norm: the exact gradient is 0.
    constant = ("grad x", "grad rnn.0.w.weight")
    assert all(got[name].abs().max() <= 1e-10 for name in constant)
    twins.assert_equal(got, want, skip=("hidden", *constant))


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_hidden_is_what_torch_s_gru_calls_h_n(backend, model, bidirectional):
    """Of each layer's output; one of one direction is a state to go on from."""
    ours, theirs = twins.build(
        model, (3, 9, 4), backend, num_layers=2, bidirectional=bidirectional
    )
    x, hx = twins.data((3, 9, 4)), twins.data((2 + 2 * bidirectional, 3, 7))
    outputs, want = [], []
    for layer in ours.eval().rnn:
        layer.register_forward_hook(lambda *call: outputs.append(call[2]))
    _, hidden = ours(x, hx)
    for output in outputs:
        forward, *backward = output.split(7, 2)
        want += [forward[:, -1], *(part[:, 0] for part in backward)]
    assert torch.equal(hidden, torch.stack(want))
    if bidirectional:
        # Stock mixes up the utterances.
        assert not torch.allclose(theirs.eval()(x, hx)[1], hidden, atol=1e-3)
    else:
        _, first = ours(x[:, :4], hx)
        assert torch.allclose(ours(x[:, 4:], first)[1], hidden, atol=1e-12)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("shape", [(3, 0, 4), (0, 5, 4), (0, 0, 4)])
def test_nothing_gives_nothing(backend, model, bidirectional, shape):
    ours, _ = twins.build(
        model, (3, 5, 4), backend, num_layers=2, bidirectional=bidirectional
    )
    d = 2 if bidirectional else 1
    x = torch.empty(shape, dtype=torch.float64, requires_grad=True)
    output, hidden = ours(x)
    assert output.shape == (shape[0], shape[1], 7 * d)
    assert hidden.shape == (2 * d, shape[0], 7)
    assert not hidden.any()
    output.sum().backward()
    assert x.grad.shape == x.shape
    grads = [p.grad for p in ours.parameters() if p.grad is not None]
    assert not any(grad.any() for grad in grads)
    hx = torch.randn(2 * d, shape[0], 7, dtype=torch.float64)
    _, hidden = ours(x, hx, lengths=torch.ones(shape[0]))
    assert torch.equal(hidden, hx)
    # No statistics of nothing.
    assert ours.rnn[0].norm.num_batches_tracked == 0


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_inf_propagate_as_in_stock(backend, model, nonlinearity, value):
    ours, theirs = twins.build(
        model, (3, 9, 4), backend, nonlinearity=nonlinearity, bidirectional=True
    )
    x = twins.data((3, 9, 4)).detach()
    x[1, 4, 2] = value
    got, want = ours.eval()(x)[0], theirs.eval()(x)[0]
    assert not want.isfinite().all() or nonlinearity == "tanh"
    assert torch.allclose(got, want, rtol=1e-9, atol=1e-10, equal_nan=True)


@pytest.mark.parametrize("model", twins.MODELS)
def test_options_and_initial_weights_are_stocks(model):
    theirs_class = getattr(twins.stock, model)
    ours_class = getattr(twins.fast, model)
    for re_init in (False, True):
        torch.manual_seed(1)
        theirs = theirs_class(6, (2, 5, 4), num_layers=2, re_init=re_init)
        torch.manual_seed(1)
        ours = ours_class(6, (2, 5, 4), num_layers=2, re_init=re_init)
        for name, want in theirs.named_parameters():
            got = ours.get_parameter(name)
            assert got.shape == want.shape
            assert got.requires_grad == want.requires_grad
            if re_init and name.endswith("u.weight"):
                eye = got @ got.T if got.size(0) < got.size(1) else got.T @ got
                assert torch.allclose(eye, torch.eye(len(eye)), atol=1e-5)
    ours = ours_class(6, (2, 5, 4), bias=False)
    assert not ours.rnn[0].norm.bias.requires_grad
    assert not ours.rnn[0].norm.bias.any()


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("given", [{}, {"lengths": torch.ones(3)}])
def test_shapes_without_data(model, given):
    ours = twins.build(model, (3, 7, 5), bidirectional=True)[0].to("meta")
    given = {name: value.to("meta") for name, value in given.items()}
    output, hidden = ours(twins.data((3, 7, 5)).to("meta"), **given)
    assert output.shape == (3, 7, 14) and hidden.shape == (2, 3, 7)
