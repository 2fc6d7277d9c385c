"""What layers make of padded batches is the same without the padding."""

import pytest
import torch
import twins
from torch import nn

from speechbrain_ligru_fast import LiGRU
from speechbrain_ligru_fast.layers import feed_forward
from speechbrain_ligru_fast.lobe import crdnn_parts
from speechbrain_ligru_fast.scan.lengths import valid_frames

FRAMES = torch.tensor([4, 1, 2])


def outcome(net, x, dtype):
    """Output, gradients and statistics, by name; the padding is NaN."""
    valid = valid_frames(FRAMES, 4)
    x = x.detach().masked_fill(~valid.unsqueeze(2), float("nan"))
    x = x.to(dtype).requires_grad_()
    net.zero_grad()
    out = net(x, lengths=FRAMES / 4)
    out = out[0] if isinstance(out, tuple) else out
    assert out.dtype == dtype and out.isfinite().all()
    (out * twins.data(out.shape, dtype, 7).detach())[valid].sum().backward()
    assert not x.grad[~valid].any()
    return {"out": out[valid], "x": x.grad} | {
        name: value.clone()
        for name, value in [
            *net.state_dict().items(),
            *((n, p.grad) for n, p in net.named_parameters() if p.requires_grad)
        ]
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("norm", ["batchnorm", "layernorm", "identity"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_layers_equal_the_formula(
    dtype, norm, bidirectional, training, monkeypatch
):
    results = []
    for packs in True, False:
        if not packs:
            monkeypatch.setattr(feed_forward, "index_of", lambda *_: None)
        torch.manual_seed(0)
        net = LiGRU(
            5, (3, 4, 2), normalization=norm, bidirectional=bidirectional,
            num_layers=2, backend="reference",
        ).to(dtype).train(training)  # fmt: skip
        results.append(outcome(net, twins.data((3, 4, 2)), dtype))
    got, want = results
    limit = 1e-10 if dtype == torch.float64 else 0.05
    for name in want:
        error = (got[name].double() - want[name].double()).abs().max()
        size = want[name].double().abs().max().clamp(min=1)
        assert error <= limit * size, name


def test_a_batch_norm_of_the_lobe_equals_the_formula(monkeypatch):
    results = []
    for packs in True, False:
        if not packs:
            monkeypatch.setattr(crdnn_parts, "index_of", lambda *_: None)
        norm = crdnn_parts.BatchNorm1d(input_size=2).double()
        crdnn_parts.make_aware(norm)
        net = nn.Module()
        net.norm = norm
        net.forward = lambda x, lengths, norm=norm: norm(x, FRAMES)
        results.append(outcome(net, twins.data((3, 4, 2)), torch.float64))
    for name, want in results[1].items():
        torch.testing.assert_close(results[0][name], want)


def test_a_batch_norm_of_the_lobe_that_fsdp2_has_cast():
    """Its parameters, not its statistics: torch's kernel refuses them."""
    norm = crdnn_parts.BatchNorm1d(input_size=2)
    crdnn_parts.make_aware(norm)
    for parameter in norm.parameters():
        parameter.data = parameter.data.bfloat16()
    x = twins.data((3, 4, 2), torch.bfloat16)
    out = norm(x, FRAMES)
    assert out.dtype == torch.bfloat16
    rows = out[valid_frames(FRAMES, 4)].float()
    torch.testing.assert_close(rows.mean(0), torch.zeros(2), rtol=0, atol=2**-7)


@pytest.mark.parametrize("hooked", [False, True])
def test_padding_is_projected_where_somebody_looks(hooked, monkeypatch):
    projected, project = [], feed_forward.project
    monkeypatch.setattr(
        feed_forward,
        "project",
        lambda module, x, gates: (
            projected.append(tuple(x.shape)) or project(module, x, gates)
        ),
    )
    net = LiGRU(5, (3, 4, 2))
    if hooked:
        net.rnn[0].w.register_forward_hook(lambda module, x, out: None)
    net(torch.ones(3, 4, 2), lengths=FRAMES / 4)
    assert projected == [(3, 4, 2) if hooked else (1, 7, 2)]
