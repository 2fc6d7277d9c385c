"""Normalisation: stock's statistics, without padding, of all processes."""

import copy

import pytest
import torch
import twins
import two_processes
from torch import nn
from torch.nn.utils import prune

from speechbrain_ligru_fast import LiGRU
from speechbrain_ligru_fast.layers.batch_norm import masked_batch_norm
from speechbrain_ligru_fast.scan.lengths import valid_frames

SHAPE = (3, 6, 5)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [False, True])
def test_running_statistics_over_steps(model, bidirectional, lengths):
    """As stock would see the same frames with no padding between them."""
    ours, theirs = twins.build(model, SHAPE, bidirectional=bidirectional)
    for seed in range(4):
        # The size of the batch enters the unbiased variance.
        x = 2 * twins.data((2 + seed, 2 * seed + 1, 5), seed=seed).detach() + 1
        if lengths:
            frames = torch.arange(len(x)) % x.size(1) + 1
            padding = ~valid_frames(frames, x.size(1))
            x[padding] = float("nan")
            ours(x, lengths=frames / x.size(1))
            x = x[~padding].unsqueeze(0)
        else:
            ours(x)
        theirs(x)
    for name, want in theirs.rnn[0].norm.state_dict().items():
        got = ours.rnn[0].norm.state_dict()[name]
        assert torch.allclose(got, want, rtol=1e-13, atol=1e-14), name


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [{}, {"lengths": torch.ones(3)}])
def test_cumulative_statistics(bidirectional, lengths):
    """torch.optim.swa_utils.update_bn sets momentum=None."""
    ours, theirs = twins.build("LiGRU", SHAPE, bidirectional=bidirectional)
    for net in (ours, theirs):
        net.rnn[0].norm.reset_running_stats()
        net.rnn[0].norm.momentum = None
    for seed in range(3):
        x = twins.data(SHAPE, seed=seed).detach()
        ours(x, **lengths)
        theirs(x)
    twins.assert_equal(*(n.rnn[0].norm.state_dict() for n in (ours, theirs)))


def test_gradient_of_masked_batch_norm():
    x = twins.data((3, 4, 2))
    valid = valid_frames(torch.tensor([4, 1, 2]), 4)
    weight, bias = twins.data((2,), seed=1), twins.data((2,), seed=2)

    def function(x, weight, bias):
        statistics = torch.zeros(2).double(), torch.ones(2).double()
        y = masked_batch_norm(x, valid, *statistics, weight, bias, 0.1, 1e-5, 1)
        return y[valid]

    assert torch.autograd.gradcheck(function, (x, weight, bias))
    want = nn.functional.batch_norm(x[valid], None, None, weight, bias, True)
    assert torch.allclose(function(x, weight, bias), want, atol=1e-12)


class Tripled(nn.BatchNorm1d):
    def forward(self, x):
        return 3 * super().forward(x)


def stop_tracking(norm):
    norm.track_running_stats = False


def drop_statistics(norm):
    norm.running_mean = norm.running_var = norm.num_batches_tracked = None


def halve(norm):
    prune.random_unstructured(norm, "weight", 0.5)


def double(norm):
    norm.register_forward_hook(lambda module, inputs, output: 2 * output)


# What users do to a layer's norm, or put in its place.
NORMS = {
    "flag": stop_tracking,
    "none": drop_statistics,
    "hook": double,
    "prune": halve,
    "subclass": lambda norm: Tripled(14),
    "plain": lambda norm: nn.BatchNorm1d(14, affine=False),
    "untracked": lambda norm: nn.BatchNorm1d(14, track_running_stats=False),
    "layernorm": lambda norm: nn.LayerNorm(14),
    "groupnorm": lambda norm: nn.GroupNorm(2, 14),
    "identity": lambda norm: nn.Identity(),
}


def wrapped(name, net):
    torch.manual_seed(8)
    made = NORMS[name](net.rnn[0].norm)
    if made is not None:
        net.rnn[0].norm = made.double()
    return net


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", NORMS)
def test_any_norm_is_as_on_stock(name, bidirectional):
    pair = twins.build("LiGRU", SHAPE, bidirectional=bidirectional)
    x = twins.data(SHAPE)
    ours, theirs = (twins.run(wrapped(name, net), x) for net in pair)
    twins.assert_equal(ours, theirs, ("hidden",) if bidirectional else ())
    ours, theirs = (net.eval()(x)[0] for net in pair)
    assert twins.error(ours, theirs) <= 1e-10


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", NORMS)
def test_any_norm_sees_no_padding(name, bidirectional):
    """As the same frames in one utterance, in both modes."""
    x = twins.data((3, 10, 5)).detach()
    lengths = torch.tensor([0.6, 0.3, 0.5])
    found = []
    for steps in (6, 10):
        ours, _ = twins.build("LiGRU", SHAPE, bidirectional=bidirectional)
        ours = wrapped(name, ours)
        part = lengths * 10 / steps
        outputs = [
            ours.train(training)(x[:, :steps], lengths=part)[0][:, :6]
            for training in (True, False)
        ]
        found.append(outputs + list(ours.rnn[0].norm.buffers()))
    for short, long in zip(*found, strict=True):
        assert torch.allclose(short.double(), long.double(), atol=1e-12)


@pytest.mark.parametrize("name", ["flag", "none", "plain", "groupnorm"])
def test_other_norms_are_scripted(name):
    ours, _ = twins.build("LiGRU", SHAPE, bidirectional=True)
    ours = wrapped(name, ours)
    scripted = torch.jit.script(copy.deepcopy(ours))
    x = twins.data(SHAPE)
    for given in ({}, {"lengths": torch.tensor([1.0, 0.5, 0.7])}):
        got, want = scripted(x, **given)[0], ours(x, **given)[0]
        assert torch.allclose(got, want, atol=1e-12)


@pytest.mark.parametrize("lengths", [None, torch.tensor([1.0, 0.6, 0.2])])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_converts_to_sync_batch_norm(bidirectional, lengths):
    ours, _ = twins.build(
        "LiGRU", SHAPE, bidirectional=bidirectional, num_layers=2
    )
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(ours))
    assert type(synced.rnn[0].norm) is nn.SyncBatchNorm
    assert type(ours.rnn[0].norm) is nn.BatchNorm1d
    x = twins.data(SHAPE)
    want = twins.run(ours, x, lengths=lengths)
    twins.assert_equal(twins.run(synced, x, lengths=lengths), want)


def test_statistics_of_all_processes(tmp_path):
    """torch's SyncBatchNorm runs on GPUs only: a stand-in reduces its sums."""
    torch.manual_seed(1)
    shape = (None, None, two_processes.FEATURES)
    layers = [
        LiGRU(4, shape, bidirectional=both, backend="reference").double()
        for both in (False, True)
    ]
    torch.multiprocessing.spawn(
        two_processes.one_of_two, (tmp_path, layers), nprocs=2
    )
    parts = zip(*(torch.load(tmp_path / str(rank)) for rank in range(2)))
    for layer, (first, second) in zip(layers, parts, strict=True):
        out, grad, *statistics = two_processes.run(layer, slice(None))
        for got, want in [
            (torch.cat([first[0], second[0]]), out),
            (torch.cat([first[1], second[1]]), grad),
            *zip(first[2:], statistics),
            *zip(second[2:], statistics),
        ]:
            torch.testing.assert_close(got, want, rtol=0, atol=1e-12)
