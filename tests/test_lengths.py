"""With lengths, an utterance's result does not depend on its padding."""

import pytest
import torch
import twins

from speechbrain_ligru_fast.norm import masked_batch_norm
from speechbrain_ligru_fast.rows import valid_frames

pytestmark = pytest.mark.usefixtures("poisoned_memory")

SHAPE = (4, 9, 5)
FRAMES = (9, 4, 1, 6)
LENGTHS = torch.tensor(FRAMES) / SHAPE[1]


def layer(model, backend="reference", **options):
    options = {"bidirectional": True, "num_layers": 2, **options}
    return twins.build(model, SHAPE, backend, **options)[0]


def padding():
    """(B, T) bool."""
    return ~valid_frames(torch.tensor(FRAMES), SHAPE[1])


def padded(value):
    x = twins.data(SHAPE).detach()
    x[padding()] = value
    return x.requires_grad_()


def assert_same(got, want):
    assert got.keys() == want.keys()
    for name in want:
        assert torch.equal(got[name], want[name]), name


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("normalization", ["batchnorm", "layernorm"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_is_never_read(backend, model, normalization, bidirectional):
    ours = layer(
        model,
        backend,
        normalization=normalization,
        bidirectional=bidirectional,
    )
    state = {k: v.clone() for k, v in ours.state_dict().items()}
    want = twins.run(ours, padded(0.0), lengths=LENGTHS)
    for value in (1e9, float("inf"), float("nan")):
        ours.load_state_dict(state)
        assert_same(twins.run(ours, padded(value), lengths=LENGTHS), want)
    assert all(value.isfinite().all() for value in want.values())
    assert not want["output"][padding()].any()
    assert not want["grad x"][padding()].any()


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("normalization", ["batchnorm", "layernorm"])
def test_each_utterance_as_if_alone(backend, model, normalization):
    ours = layer(model, backend, normalization=normalization).eval()
    x = padded(float("nan"))
    hx = twins.data((4, 4, 7), seed=6)
    output, hidden = ours(x, hx, LENGTHS)
    for b, n in enumerate(FRAMES):
        alone, state = ours(x[b : b + 1, :n], hx[:, b : b + 1])
        assert torch.allclose(output[b, :n], alone[0], atol=1e-12)
        assert torch.allclose(hidden[:, b], state[:, 0], atol=1e-12)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("extra", [1, 20])
def test_more_padding_changes_nothing(backend, model, extra):
    x = padded(0.0)
    longer = torch.nn.functional.pad(x.detach(), (0, 0, 0, extra), value=3.0)
    ours = layer(model, backend)
    state = {k: v.clone() for k, v in ours.state_dict().items()}
    want = twins.run(ours, x, lengths=LENGTHS)
    ours.load_state_dict(state)
    lengths = torch.tensor(FRAMES) / longer.size(1)
    output, hidden = ours(longer.requires_grad_(), lengths=lengths)
    assert torch.allclose(output[:, : SHAPE[1]], want["output"], atol=1e-12)
    assert not output[:, SHAPE[1] :].any()
    assert torch.allclose(hidden, want["hidden"], atol=1e-12)
    for name, value in ours.named_buffers():
        if "running" in name:
            assert torch.allclose(value, want[name], rtol=1e-14), name


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_batch_statistics_are_those_of_the_frames_alone(model, bidirectional):
    """As stock would see the same frames with no padding between them."""
    ours, theirs = twins.build(model, SHAPE, bidirectional=bidirectional)
    x = padded(float("nan"))
    ours(x, lengths=LENGTHS)
    theirs(x[~padding()].unsqueeze(0))
    for name, want in theirs.rnn[0].norm.state_dict().items():
        got = ours.rnn[0].norm.state_dict()[name]
        assert torch.allclose(got, want, rtol=1e-13, atol=1e-14), name


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_full_lengths_equal_stock(backend, model, bidirectional):
    ours, theirs = twins.build(
        model, SHAPE, backend, bidirectional=bidirectional, num_layers=2
    )
    x = twins.data(SHAPE)
    got = twins.run(ours, x, lengths=torch.ones(4))
    skip = ("hidden",) if bidirectional else ()
    twins.assert_equal(got, twins.run(theirs, x), skip=skip)


def test_frames_are_rounded_as_in_speechbrain():
    ours = layer("LiGRU").eval()
    x = twins.data((3, 9, 5))
    # 2.5 frames round to the even 2, 0.01 of a frame is one.
    output, _ = ours(x, lengths=torch.tensor([2.5 / 9, 0.01 / 9, 0.74]))
    frames = [int(row.any(1).sum()) for row in output]
    assert frames == [2, 1, 7]


@pytest.mark.parametrize("steps", [1001, 3001])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lengths_in_16_bits_keep_the_last_frames(steps, dtype):
    ours = layer("LiGRU", num_layers=1).float().eval()
    x = torch.randn(2, steps, 5)
    output, _ = ours(x, lengths=torch.tensor([1.0, 0.5], dtype=dtype))
    frames = [int(row.any(1).sum()) for row in output]
    assert frames == [steps, round(steps / 2)]


def test_gradient_of_masked_batch_norm():
    x = twins.data((3, 4, 2))
    valid = valid_frames(torch.tensor([4, 1, 2]), 4)
    weight, bias = twins.data((2,), seed=1), twins.data((2,), seed=2)

    def function(x, weight, bias):
        statistics = torch.zeros(2).double(), torch.ones(2).double()
        y = masked_batch_norm(x, valid, *statistics, weight, bias, 0.1, 1e-5, 1)
        return y[valid]

    assert torch.autograd.gradcheck(function, (x, weight, bias))
    want = torch.nn.functional.batch_norm(
        x[valid], None, None, weight, bias, True
    )
    assert torch.allclose(function(x, weight, bias), want, atol=1e-12)


@pytest.mark.parametrize("model", twins.MODELS)
def test_what_overflows_stays_out_of_the_padding(backend, model):
    ours = layer(model, backend, bidirectional=False, num_layers=1).eval()
    x = padded(0.0)
    with torch.no_grad():
        ours.rnn[0].w.weight.fill_(1e308)
        output, _ = ours(x.abs(), lengths=LENGTHS)
    assert not output[~padding()].isfinite().all()
    assert not output[padding()].any()
