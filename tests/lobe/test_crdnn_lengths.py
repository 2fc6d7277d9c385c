"""With lengths, what the lobe makes of an utterance is of it alone."""

import random

import pytest
import torch
import twins
from speechbrain.nnet.RNN import GRU, LSTM
from torch import nn

from speechbrain_ligru_fast import LiGRU, SLiGRU

pytestmark = pytest.mark.usefixtures("poisoned_memory")

FEATURES = 30
# Pooled by 6, after a kernel of 5 frames: the shortest is of 6.
POOLED = dict(
    using_2d_pooling=True,
    inter_layer_pooling_size=[2, 1],
    time_pooling=True,
    time_pooling_size=3,
    cnn_kernelsize=(3, 5),
)
FRAMES = (31, 30, 29, 12, 11, 6, 5, 1)


def build(dtype=torch.float64, seed=4, **options):
    sizes = {"rnn_layers": 1, "rnn_neurons": 4, "dnn_neurons": 5}
    model = twins.crdnn(FEATURES, seed=seed, **sizes, **options).to(dtype)
    with torch.no_grad():
        # Away from their symmetric initial state.
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def batch(frames, dtype=torch.float64, padding=float("nan"), steps=None):
    """Features, with anything in the padding, and relative lengths."""
    steps = steps or max(frames)
    x = torch.full((len(frames), steps, FEATURES), padding, dtype=dtype)
    for b, n in enumerate(frames):
        x[b, :n] = twins.data((n, FEATURES), dtype, seed=b).detach()
    return x, torch.tensor(frames) / steps


def options_of(rng):
    """Any shape of a CRDNN."""
    blocks = rng.randint(0, 2)
    return dict(
        cnn_blocks=blocks,
        cnn_channels=[rng.randint(1, 3) for _ in range(blocks)],
        cnn_kernelsize=(rng.choice([1, 3]), rng.choice([1, 3, 5, 7])),
        inter_layer_pooling_size=[rng.randint(1, 3) for _ in range(blocks)],
        using_2d_pooling=rng.random() < 0.5,
        time_pooling=blocks > 0 and rng.random() < 0.5,
        time_pooling_size=rng.randint(1, 4),
        projection_dim=rng.choice([-1, 3]),
        rnn_class=rng.choice([LiGRU, SLiGRU, LSTM, GRU]),
        rnn_bidirectional=rng.random() < 0.5,
        use_rnnp=rng.random() < 0.2,
        dnn_blocks=rng.randint(0, 2),
        activation=rng.choice([nn.LeakyReLU, nn.ReLU, nn.Tanh]),
    )


@torch.no_grad()
@pytest.mark.parametrize("seed", range(24))
def test_an_utterance_is_what_it_is_alone(seed):
    rng = random.Random(seed)
    dtype, limit = rng.choice([(torch.float32, 1e-5), (torch.float64, 1e-10)])
    options = options_of(rng)
    model = build(dtype, seed, **options).eval()
    steps = rng.choice([rng.randint(1, 9), rng.randint(10, 60)])
    frames = [steps] + [rng.randint(1, steps) for _ in range(rng.randint(0, 4))]
    frames += [max(steps - rng.randint(1, 3), 1)]
    # As on one of several GPUs, the longest may be shorter than the batch.
    longest = steps + rng.choice([0, 13])
    output = model(*batch(frames, dtype, steps=longest))
    assert output.shape[1] == model.shorten(torch.tensor(longest))
    found = model.shorten(torch.tensor(frames)).tolist()
    x, _ = batch(frames, dtype)
    for b, n in enumerate(frames):
        alone = model(x[b : b + 1, :n], torch.ones(1, dtype=dtype))
        assert alone.shape[1] == found[b]
        assert twins.error(output[b : b + 1, : found[b]], alone) <= limit
        if n >= model.shortest:
            # And stock's, where nothing is padding.
            stock = model(x[b : b + 1, :n])
            assert twins.error(alone, stock) <= limit


@torch.no_grad()
@pytest.mark.parametrize("rnn_class", [LSTM, GRU])
def test_stock_layers_read_every_frame(rnn_class):
    """They truncate: 29 of 100 in float32 would be 28."""
    model = build(cnn_blocks=0, dnn_blocks=0, rnn_class=rnn_class).eval()
    frames = range(1, 101)
    x, lengths = batch(frames)
    output = model(x, lengths.float())
    read = output.abs().sum(2).ne(0).sum(1)
    assert read.tolist() == list(frames)


def train(model, x, lengths, frames):
    """Output, gradients and statistics of a step on the frames alone."""
    x = x.requires_grad_()
    output = model(x, lengths)
    # Weights of the loss that an utterance has in every batch.
    weight = twins.data((1, 99, output.shape[2]), output.dtype, seed=7)
    loss = sum(
        (output[b, :n] * weight[0, :n]).sum()
        for b, n in enumerate(model.shorten(frames).tolist())
    )
    leaves = {"x": x, **dict(model.named_parameters())}
    grads = torch.autograd.grad(loss, leaves.values())
    state = {k: v.clone() for k, v in model.named_buffers()}
    return {"loss": loss} | state, dict(zip(leaves, grads))


@pytest.mark.parametrize("options", [{}, POOLED, {"cnn_blocks": 0}], ids=str)
@pytest.mark.parametrize("rnn_class", [LiGRU, SLiGRU, LSTM])
def test_training_does_not_read_padding(options, rnn_class):
    """Statistics, loss and gradients, whatever and how much there is."""
    frames = torch.tensor(FRAMES)
    results = []
    for padding, steps in ((0.0, 31), (float("nan"), 31), (1e9, 60)):
        model = build(rnn_class=rnn_class, **options).train()
        x, lengths = batch(FRAMES, padding=padding, steps=steps)
        state, grads = train(model, x, lengths, frames)
        given = grads.pop("x")
        for b, n in enumerate(FRAMES):
            assert not given[b, n:].any()
        grads["x"] = given[:, :31]
        results.append(state | grads)
    want = results[0]
    # What precedes a batch norm can have gradient 0: compare absolutely.
    scale = max(v.abs().max().item() for v in want.values())
    for got in results[1:]:
        for name, value in want.items():
            worst = (got[name] - value).abs().max().item()
            assert worst <= 1e-10 * scale, name


def test_norms_see_the_frames_alone():
    """The statistics are a batch norm's that sees all frames in one row."""
    model = build(rnn_class=SLiGRU, dnn_blocks=1, **POOLED).train()
    block, seen = model.DNN.block_0, []
    block.linear.register_forward_hook(lambda *call: seen.append(call[2]))
    model(*batch(FRAMES))
    n = model.shorten(torch.tensor(FRAMES)).tolist()
    want = nn.BatchNorm1d(5).double()
    want(torch.cat([seen[0][b, :k].detach() for b, k in enumerate(n)]))
    for name, value in want.named_buffers():
        assert twins.error(getattr(block.norm.norm, name), value) < 1e-12

    # One of another kind is called.
    block.norm.norm = nn.BatchNorm1d(5, track_running_stats=False).double()
    short, long = (
        model(*batch(FRAMES, steps=steps))[:, :1] for steps in (None, 60)
    )
    assert twins.error(long, short) < 1e-12


@pytest.mark.parametrize("options", [{}, POOLED], ids=str)
def test_gradients_of_a_reflected_end(options):
    """Those of the utterance alone, as stock computes them."""
    model = build(rnn_class=SLiGRU, dnn_blocks=0, **options)
    model.RNN.rnn[0].norm = nn.LayerNorm(8).double()
    frames = torch.tensor((31, 29, 12, 9))
    _, grads = train(model, *batch(frames.tolist()), frames)
    total = {}
    for b, n in enumerate(frames):
        x, _ = batch(frames.tolist())
        _, alone = train(model, x[b : b + 1, :n], None, n.view(1))
        assert twins.error(grads["x"][b : b + 1, :n], alone.pop("x")) < 1e-9
        for name, value in alone.items():
            total[name] = total.get(name, 0) + value
    scale = max(v.abs().max().item() for v in total.values())
    for name, value in total.items():
        assert (grads[name] - value).abs().max().item() < 1e-10 * scale, name


def test_autocast():
    """Rounded to 8 bits, but the same whatever surrounds it."""
    model = build(torch.float32, **POOLED).eval()
    x, lengths = batch(FRAMES, torch.float32)
    longer, shorter = batch(FRAMES, torch.float32, steps=60)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        want, got = model(x, lengths), model(longer, shorter)
    for b, n in enumerate(model.shorten(torch.tensor(FRAMES)).tolist()):
        assert twins.error(got[b, :n], want[b, :n]) < 0.02


def test_hooks_see_every_part():
    model = build()
    seen = []
    for name, part in model.named_modules():
        part.register_forward_hook(lambda *_, name=name: seen.append(name))
    x, lengths = batch(FRAMES, padding=0.0)
    model(x)
    without, seen[:] = set(seen), []
    model(x, lengths)
    assert set(seen) == without
