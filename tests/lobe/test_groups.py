"""Groups of like lengths: less padding, and the same of every utterance."""

import pytest
import torch
import twins

from speechbrain_ligru_fast.lobe import CRDNN, crdnn_parts
from speechbrain_ligru_fast.lobe.groups import compute, groups_of

FRAMES = [9, 30, 12, 28, 8, 20, 4, 5, 6]


def make(**options):
    torch.manual_seed(0)
    return CRDNN(
        input_shape=(2, 30, 8), cnn_blocks=2, cnn_channels=(3, 4), dropout=0.0,
        inter_layer_pooling_size=(2, 2), time_pooling=True, rnn_layers=1,
        rnn_neurons=3, dnn_blocks=1, dnn_neurons=5, **options,
    ).double()  # fmt: skip


def outcome(net, x, frames):
    x = x.detach().clone().requires_grad_()
    y = net(x, frames / x.size(1))
    kept = net.shorten(frames).tolist()
    rows = torch.cat([row[:n] for row, n in zip(y, kept)])
    (rows * twins.data(rows.shape, seed=3).detach()).sum().backward()
    return [rows, x.grad, *(p.grad for p in net.parameters())]


@pytest.mark.parametrize("pooling_2d", [False, True])
def test_equal_what_the_whole_batch_gives(pooling_2d, monkeypatch):
    frames, x = torch.tensor(FRAMES), twins.data((9, 30, 8))
    calls, results = [], []

    def counted(*given):
        calls.append(len(given[3]))
        return compute(*given)

    monkeypatch.setattr(crdnn_parts, "compute", counted)
    for groups in True, False:
        if not groups:
            monkeypatch.setattr(crdnn_parts, "groups_of", lambda *_: None)
        results.append(outcome(make(using_2d_pooling=pooling_2d), x, frames))
    # The CNN once, nothing that is inside it, and no batch norm behind it.
    assert calls == [3]
    for got, want in zip(*results):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)


def test_what_repays():
    part, x = torch.nn.ReLU(), torch.ones(5, 9, 2)
    uneven = torch.tensor([3, 9, 2, 8, 1])
    found = groups_of(part, x, uneven)
    assert [group.tolist() for group in found] == [[1, 3, 0, 2], [4]]
    assert groups_of(part, x, torch.tensor([9, 9, 8, 9, 9])) is None
    assert groups_of(part, x[:4], uneven[:4]) is None
    assert groups_of(torch.nn.BatchNorm1d(2), x, uneven) is None
    part.register_forward_hook(lambda module, x, y: None)
    assert groups_of(part, x, uneven) is None


def test_padding_that_all_have_is_not_computed():
    x, frames = torch.ones(5, 9, 2), torch.tensor([2, 2, 2, 2, 2])
    seen = []

    def part(x, frames):
        seen.append(tuple(x.shape))
        return x

    groups = groups_of(torch.nn.ReLU(), x, frames)
    assert compute(part, x, frames, groups, 9).shape == (5, 9, 2)
    assert seen == [(4, 2, 2), (1, 2, 2)]
