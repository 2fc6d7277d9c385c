"""Layers against SpeechBrain's, beyond the cases of the benchmarks.

tests/test_verify.py compares every combination of nonlinearity,
normalization, bias, depth, directions, affine and hx with stock.
"""

import copy
import itertools

import pytest
import torch
import twins

from speechbrain_ligru_fast import LiGRU

pytestmark = pytest.mark.usefixtures("poisoned_memory")

NORMALIZATIONS = ("batchnorm", "layernorm")


@pytest.mark.parametrize(
    "model, normalization, bidirectional, training",
    itertools.product(
        twins.MODELS, NORMALIZATIONS, (False, True), (False, True)
    ),
)
def test_4d_input_in_both_modes(
    backend, model, normalization, bidirectional, training
):
    shape = (3, 5, 4, 2)
    ours, theirs = twins.build(
        model,
        shape,
        backend,
        normalization=normalization,
        bidirectional=bidirectional,
        num_layers=2,
    )
    ours.train(training)
    theirs.train(training)
    x = twins.data(shape)
    hx = twins.data((4 if bidirectional else 2, 3, 7), seed=6)
    got, want = twins.run(ours, x, hx), twins.run(theirs, x, hx)
    # Stock scrambles the hidden state of two directions.
    twins.assert_equal(got, want, skip=("hidden",) if bidirectional else ())


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (5, 3, 1), (17, 4, 9)])
@pytest.mark.parametrize("hidden_size", [1, 17, 40])
def test_odd_sizes(backend, model, shape, hidden_size):
    # One frame has no variance in one direction; stock counts it twice.
    ours, theirs = twins.build(
        model, shape, backend, hidden_size=hidden_size, bidirectional=True
    )
    x = twins.data(shape)
    got, want = twins.run(ours, x), twins.run(theirs, x)
    skip = ["hidden"]
    if shape[0] * shape[1] == 1:
        # Constant under its batch norm: the exact gradient is 0.
        for name in ("grad x", "grad rnn.0.w.weight"):
            assert got[name].abs().max() <= 1e-10
            skip.append(name)
    twins.assert_equal(got, want, skip=skip)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_running_statistics_over_steps(model, bidirectional):
    shape = (3, 4, 5)
    ours, theirs = twins.build(model, shape, bidirectional=bidirectional)
    for seed in range(4):
        # The size of the batch enters the unbiased variance.
        x = 2 * twins.data((1 + seed, 2 * seed + 1, 5), seed=seed) + 1
        if x[..., 0].numel() > 1 or bidirectional:
            ours(x)
            theirs(x)
    for name, want in theirs.rnn[0].norm.state_dict().items():
        got = ours.rnn[0].norm.state_dict()[name]
        assert torch.allclose(got, want, rtol=1e-14, atol=1e-14), name


def roundings(dtype):
    """A few roundings, for what stock happens to get exactly."""
    return 4 * torch.finfo(dtype).eps


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16]
)
@pytest.mark.parametrize("nonlinearity", ["relu", "tanh", "sin", "leaky_relu"])
def test_error_in_lower_precision(backend, model, dtype, nonlinearity):
    """At most four times what stock's own rounding costs."""
    shape = (4, 9, 8)
    options = dict(bidirectional=True, nonlinearity=nonlinearity)
    ours, theirs = twins.build(model, shape, backend, dtype, **options)
    exact = copy.deepcopy(theirs).double()
    x = twins.data(shape).detach().to(dtype)
    want, _ = exact(x.double())
    yardstick, _ = theirs(x)
    got, _ = ours(x)
    assert got.dtype == dtype
    limit = 4 * twins.error(yardstick, want) + roundings(dtype)
    assert twins.error(got, want) <= limit


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("training", [False, True])
def test_gradient_error_in_float32(backend, model, training):
    shape = (4, 9, 8)
    # Smooth: at a kink one rounding could change a gradient entirely.
    ours, theirs = twins.build(
        model, shape, backend, torch.float32, nonlinearity="tanh", num_layers=2
    )
    exact = copy.deepcopy(theirs).double()
    for module in (ours, theirs, exact):
        module.train(training)
    x = twins.data(shape, torch.float32)
    want = twins.run(exact, x.detach().double().requires_grad_())
    yardstick, got = twins.run(theirs, x), twins.run(ours, x)
    for name, value in want.items():
        limit = 4 * twins.error(yardstick[name], value)
        limit += roundings(torch.float32)
        assert twins.error(got[name], value) <= limit, name


def final_states(output, layers, bidirectional):
    """What torch.nn.GRU calls h_n, from the output of each layer."""
    found = []
    for x in output[:layers]:
        width = x.size(2) // 2 if bidirectional else x.size(2)
        found.append(x[:, -1, :width])
        if bidirectional:
            found.append(x[:, 0, width:])
    return torch.stack(found)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_hidden_has_the_layout_of_torch(backend, bidirectional):
    shape = (3, 5, 4)
    gru = torch.nn.GRU(4, 7, batch_first=True, bidirectional=bidirectional)
    x = twins.data(shape, torch.float32)
    output, hidden = gru(x)
    assert torch.equal(hidden, final_states([output], 1, bidirectional))

    ours, _ = twins.build(
        "LiGRU",
        shape,
        backend,
        torch.float32,
        num_layers=2,
        bidirectional=bidirectional,
    )
    outputs = []
    for layer in ours.rnn:
        layer.register_forward_hook(lambda *call: outputs.append(call[2]))
    output, hidden = ours(x)
    assert torch.equal(output, outputs[1])
    assert torch.equal(hidden, final_states(outputs, 2, bidirectional))


@pytest.mark.parametrize("model", twins.MODELS)
def test_hidden_continues_a_scan(backend, model):
    ours, _ = twins.build(model, (3, 9, 4), backend, num_layers=2)
    ours.eval()
    x = twins.data((3, 9, 4))
    whole, last = ours(x)
    first, hidden = ours(x[:, :4])
    second, hidden = ours(x[:, 4:], hidden)
    assert torch.allclose(torch.cat([first, second], 1), whole, atol=1e-12)
    assert torch.allclose(hidden, last, atol=1e-12)


def test_hx_belongs_to_its_utterance_and_direction(backend):
    """Which stock gets wrong for B > 1: DESIGN's first difference."""
    ours, theirs = twins.build("LiGRU", (3, 5, 4), backend, bidirectional=True)
    x, hx = twins.data((3, 5, 4)), twins.data((2, 3, 7), seed=6)
    ours.eval()
    theirs.eval()
    output, hidden = ours(x, hx)
    for b in range(3):
        alone, state = ours(x[b : b + 1], hx[:, b : b + 1])
        assert torch.allclose(alone[0], output[b], atol=1e-12)
        assert torch.allclose(state[:, 0], hidden[:, b], atol=1e-12)
    # Swapping the directions' states swaps what is read back in time.
    flipped, _ = ours(x.flip(1), hx.flip(0))
    mirrored = torch.cat(flipped.flip(1).chunk(2, 2)[::-1], 2)
    assert torch.allclose(mirrored, output, atol=1e-12)
    assert not torch.allclose(theirs(x, hx)[1], hidden, atol=1e-3)


def test_nothing_has_a_backward(backend):
    ours, _ = twins.build("LiGRU", (2, 3, 4), backend)
    x = twins.data((2, 0, 4))
    ours(x)[0].sum().backward()
    assert x.grad.shape == x.shape
    assert all(
        not p.grad.any() for p in ours.parameters() if p.grad is not None
    )


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
    hx = torch.randn(2 * d, shape[0], 7, dtype=torch.float64)
    _, hidden = ours(x, hx, lengths=torch.ones(shape[0]))
    assert torch.equal(hidden, hx)
    # No statistics of nothing.
    assert ours.rnn[0].norm.num_batches_tracked == 0


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("nonlinearity", ["relu", "tanh", "sin", "leaky_relu"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_inf_propagate_as_in_stock(backend, model, nonlinearity, value):
    ours, theirs = twins.build(
        model, (3, 9, 4), backend, nonlinearity=nonlinearity, bidirectional=True
    )
    ours.eval()
    theirs.eval()
    x = twins.data((3, 9, 4)).detach()
    x[1, 4, 2] = value
    got, want = ours(x)[0], theirs(x)[0]
    assert not want.isfinite().all() or nonlinearity == "tanh"
    assert torch.allclose(got, want, rtol=1e-9, atol=1e-10, equal_nan=True)


def test_one_mask_a_row_and_a_fresh_one_a_call(monkeypatch):
    """DESIGN: a fresh mask per forward, constant over time."""
    ours = LiGRU(64, (3, 7, 4), dropout=0.4, bidirectional=True)
    masks = []
    sample = ours.rnn[0]._sample_mask

    def record(*args):
        masks.append(sample(*args))
        return masks[-1]

    monkeypatch.setattr(ours.rnn[0], "_sample_mask", record)
    x = torch.randn(3, 7, 4)
    first, second = ours(x)[0], ours(x)[0]
    assert not torch.equal(first, second)
    a, b = masks
    assert a.shape == (6, 64) and not torch.equal(a, b)
    assert len({tuple(row) for row in a.tolist()}) == 6
    kept = torch.tensor(1 / 0.6)
    assert set(a.unique().tolist()) == {0.0, kept.item()}
    assert 0.25 < (a == 0).float().mean() < 0.55
    # From zero states a unit that its row drops stays 0 at every frame.
    dropped = (a[:3] == 0).unsqueeze(1).expand(3, 7, 64)
    assert not first[..., :64][dropped].any()
    ours.eval()
    assert torch.equal(ours(x)[0], ours(x)[0])
    assert len(masks) == 2


def test_dropout_is_stocks_given_its_mask(backend, monkeypatch):
    ours, theirs = twins.build(
        "SLiGRU", (3, 5, 4), backend, dropout=0.5, bidirectional=True
    )
    x = twins.data((3, 5, 4))
    mask = theirs.rnn[0].drop_masks[:6].double()
    monkeypatch.setattr(ours.rnn[0], "_sample_mask", lambda *_: mask)
    got, want = twins.run(ours, x), twins.run(theirs, x)
    assert 0 < mask.count_nonzero() < mask.numel()
    twins.assert_equal(got, want, skip=("hidden",))


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
    x = twins.data((3, 7, 5)).to("meta")
    output, hidden = ours(x, **given)
    assert output.shape == (3, 7, 14) and hidden.shape == (2, 3, 7)
