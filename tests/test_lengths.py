"""With lengths, an utterance's result does not depend on its padding."""

import pytest
import torch
import twins

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast.layers.batch_norm import masked_batch_norm
from speechbrain_ligru_fast.scan import lengths
from speechbrain_ligru_fast.scan.lengths import valid_frames

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


WRONG = ([10.0, 5.0], [0.0, 1.0], [1.0, float("nan")], [-0.5, 1.0])


def eager(net, *example):
    return net


def script(net, *example):
    return torch.jit.script(net)


def trace(net, *example):
    return torch.jit.trace(net, example, check_trace=False)


def compiled(net, *example):
    torch._dynamo.reset()
    return torch.compile(net, backend="aot_eager", fullgraph=True)


def export(net, *example):
    return torch.export.export(net, example).module()


class WithLengths(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, lengths):
        return self.net(x, None, lengths)[0]


@pytest.mark.parametrize("capture", [eager, script, trace, compiled, export])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_wrong_lengths_are_told_everywhere(capture, training):
    """Frames in place of relative lengths above all: nothing was masked."""
    net = layer("LiGRU", num_layers=1).float().train(training)
    x, good = torch.randn(2, 9, 5), torch.tensor([1.0, 0.4])
    net = WithLengths(net)
    run = capture(net, x, good)
    assert not run(x, good)[1, 4:].any()
    for wrong in WRONG:
        with pytest.raises(
            (ValueError, RuntimeError, torch.jit.Error),
            match=r"lengths: .*expected relative lengths in \(0, 1\]",
        ):
            run(x, torch.tensor(wrong))


@pytest.mark.parametrize("capture", [eager, script, trace, compiled, export])
@pytest.mark.filterwarnings("ignore")
def test_wrong_frames_of_the_operator_are_told_everywhere(capture):
    class Scan(torch.nn.Module):
        def forward(self, w, u, lengths):
            return fast.ligru_scan(w, u, lengths=lengths)

    w, u, good = torch.randn(2, 9, 6), torch.randn(6, 3), torch.tensor([9, 0])
    run = capture(Scan(), w, u, good)
    assert not run(w, u, good)[1].any()
    for wrong in ([10, 1], [-1, 9]):
        with pytest.raises(Exception, match="lengths: .*frames from 0 to 9"):
            run(w, u, torch.tensor(wrong))


def test_a_gpu_is_told_without_being_waited_for(monkeypatch):
    """As on a device whose values can't be read: the meta device."""
    told = []
    monkeypatch.setattr(torch, "_assert_async", lambda *args: told.append(args))
    lengths.count_frames(
        torch.ones(3, device="meta"), torch.ones(3, 9, 5, device="meta")
    )
    frames = lengths.bounded_frames(torch.ones(3, device="meta").long(), 9)
    assert frames.is_meta
    assert [condition.dtype for condition, _ in told] == [torch.bool] * 2
    assert all("lengths: expected" in message for _, message in told)


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
