"""Valid frames side by side: what layers make of padded batches is the same."""

import pytest
import torch
import twins
from torch import nn

from speechbrain_ligru_fast import LiGRU
from speechbrain_ligru_fast.layers import one_layer
from speechbrain_ligru_fast.layers.packed_frames import index_of, pack, unpack
from speechbrain_ligru_fast.lobe import crdnn_parts
from speechbrain_ligru_fast.scan.lengths import valid_frames

FRAMES = torch.tensor([4, 1, 2])


def test_derivatives_are_each_other():
    index = index_of(torch.ones(3, 4, 2), FRAMES)
    assert index.tolist() == [0, 1, 2, 3, 4, 8, 9]
    x, rows = twins.data((3, 4, 2)), twins.data((7, 2))
    for function, given in (
        (lambda x: pack(x, index), x),
        (lambda rows: unpack(rows, index, 3, 4), rows),
    ):
        assert torch.autograd.gradcheck(function, given)
        assert torch.autograd.gradgradcheck(function, given)
    assert torch.equal(pack(unpack(rows, index, 3, 4), index), rows)


def test_what_repays():
    x = torch.ones(3, 4, 2)
    for frames in ([4, 4, 4], [0, 0, 0], [1, 0, 0]):
        assert index_of(x, torch.tensor(frames)) is None
    assert index_of(x, torch.tensor([1, 1, 0])).tolist() == [0, 4]


def test_what_follows_data_does_not_pack():
    """Fake tensors have no values; transforms and compilers see formulas."""
    seen = []

    def call(x):
        seen.append(index_of(x, FRAMES) is not None)
        return x

    x = torch.ones(3, 4, 2)
    torch.func.vmap(call)(torch.ones(1, 3, 4, 2))
    torch.jit.trace(call, x, check_trace=False)
    call(x.to("meta"))
    with torch.device("cpu"):
        call(x)
    torch.compile(call, backend="eager", fullgraph=True)(x)
    assert seen == [False, False, False, True, False]


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
            monkeypatch.setattr(one_layer, "index_of", lambda *_: None)
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


@pytest.mark.parametrize("hooked", [False, True])
def test_padding_is_projected_where_somebody_looks(hooked, monkeypatch):
    projected, project = [], one_layer.project
    monkeypatch.setattr(
        one_layer,
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
