"""Normalisation: stock's statistics, without padding, of all processes."""

import copy

import all_reduced
import pytest
import torch
import twins
from torch import nn
from torch.nn.utils import prune

from speechbrain_ligru_fast import LiGRU
from speechbrain_ligru_fast.layers.batch_norm import (
    is_tracking,
    masked_batch_norm,
)
from speechbrain_ligru_fast.scan.lengths import valid_frames

SHAPE = (3, 6, 5)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [False, True])
# None is what torch.optim.swa_utils.update_bn sets: a cumulative average.
@pytest.mark.parametrize("momentum", [0.05, None])
def test_running_statistics(model, bidirectional, lengths, momentum):
    """As stock would see the same frames with no padding between them."""
    pair = twins.build(model, SHAPE, bidirectional=bidirectional)
    norms = [net.rnn[0].norm for net in pair]
    for norm in norms:
        assert norm.momentum == 0.05
        norm.momentum = momentum
        norm.reset_running_stats()
    ours, theirs = pair
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
    for name, want in norms[1].state_dict().items():
        got = norms[0].state_dict()[name]
        assert torch.allclose(got, want, rtol=1e-13, atol=1e-14), name


def test_derivatives_of_masked_batch_norm():
    valid = valid_frames(torch.tensor([4, 1, 2]), 4)
    leaves = twins.data((3, 4, 2)), twins.data((2,)), twins.data((2,), seed=6)

    def function(x, *affine):
        statistics = torch.zeros(2).double(), torch.ones(2).double()
        return masked_batch_norm(
            x, valid, *statistics, *affine, 0.1, 1e-5, 1
        )[valid]  # fmt: skip

    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves)
    x, *affine = leaves
    want = nn.functional.batch_norm(x[valid], None, None, *affine, True)
    assert torch.allclose(function(*leaves), want, atol=1e-12)


class Tripled(nn.BatchNorm1d):
    def forward(self, x):
        return 3 * super().forward(x)


def drop_statistics(norm):
    norm.running_mean = norm.running_var = norm.num_batches_tracked = None


# What users do to a layer's norm, or put in its place.
NORMS = {
    "flag": lambda norm: setattr(norm, "track_running_stats", False),
    "none": drop_statistics,
    "hook": lambda norm: norm.register_forward_hook(lambda *call: 2 * call[2]),
    "prune": lambda norm: prune.random_unstructured(norm, "weight", 0.5),
    "subclass": lambda norm: Tripled(14),
    "plain": lambda norm: nn.BatchNorm1d(14, affine=False),
    "untracked": lambda norm: nn.BatchNorm1d(14, track_running_stats=False),
    "layernorm": lambda norm: nn.LayerNorm(14),
    "groupnorm": lambda norm: nn.GroupNorm(2, 14),
    "identity": lambda norm: nn.Identity(),
}


def twins_with(name, bidirectional):
    """Twins whose norms were changed in the same way."""
    pair = twins.build("LiGRU", SHAPE, bidirectional=bidirectional)
    for net in pair:
        torch.manual_seed(8)
        made = NORMS[name](net.rnn[0].norm)
        # What was registered on it or pruned in it is no other norm.
        if isinstance(made, nn.Module) and made is not net.rnn[0].norm:
            net.rnn[0].norm = made.double()
    return pair


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", NORMS)
def test_any_norm(name, bidirectional):
    """As on stock; with lengths, it sees no padding, in both modes."""
    pair = twins_with(name, bidirectional)
    x = twins.data(SHAPE)
    ours, theirs = (twins.run(net, x) for net in pair)
    twins.assert_equal(ours, theirs, ("hidden",) if bidirectional else ())
    ours, theirs = (net.eval()(x)[0] for net in pair)
    assert twins.error(ours, theirs) <= 1e-10

    x = twins.data((3, 10, 5)).detach()
    found = []
    for steps in (6, 10):
        ours, _ = twins_with(name, bidirectional)
        part = torch.tensor([6.0, 3.0, 5.0]) / steps
        outputs = [
            ours.train(training)(x[:, :steps], lengths=part)[0][:, :6]
            for training in (True, False)
        ]
        found.append(outputs + list(ours.rnn[0].norm.buffers()))
    for short, long in zip(*found, strict=True):
        assert torch.allclose(short.double(), long.double(), atol=1e-12)


@pytest.mark.parametrize("name", ["flag", "none", "plain", "groupnorm"])
def test_other_norms_are_scripted(name):
    ours, _ = twins_with(name, True)
    scripted = torch.jit.script(copy.deepcopy(ours))
    for given in ({}, {"lengths": torch.tensor([1.0, 0.5, 0.7])}):
        got, want = (
            net(twins.data(SHAPE), **given)[0] for net in (scripted, ours)
        )
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


@pytest.mark.parametrize("bidirectional", [False, True])
def test_statistics_of_all_processes(bidirectional, monkeypatch):
    """The layer takes the stand-in for what it is: torch's SyncBatchNorm."""
    monkeypatch.setattr(nn.SyncBatchNorm, "forward", all_reduced.normalise)
    assert is_tracking(nn.SyncBatchNorm(4))
    torch.manual_seed(1)
    layer = LiGRU(
        4,
        (None, None, all_reduced.FEATURES),
        bidirectional=bidirectional,
        backend="reference",
    ).double()
    (first, grads), (second, more) = all_reduced.run_parts(copy.deepcopy(layer))
    (out, grad, *statistics), total = all_reduced.run(layer, slice(None))
    for got, want in [
        (torch.cat([first[0], second[0]]), out),
        (torch.cat([first[1], second[1]]), grad),
        *zip(first[2:], statistics),
        *zip(second[2:], statistics),
        *zip(map(torch.add, grads, more), total, strict=True),
    ]:
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)
