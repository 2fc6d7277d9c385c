"""torch.export, with the batch size and the length left open."""

import pytest
import torch
import twins
from torch.export import Dim

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast.lobe import CRDNN

OPEN = {0: Dim.AUTO, 1: Dim.AUTO}


@pytest.mark.parametrize("model", twins.MODELS)
def test_layer(model):
    ours = getattr(fast, model)(
        5, (3, 7, 4), num_layers=2, bidirectional=True
    ).eval()
    lengths = torch.tensor([1.0, 0.6, 0.3])
    exported = torch.export.export(
        ours,
        (torch.randn(3, 7, 4),),
        {"lengths": lengths},
        dynamic_shapes={"x": OPEN, "lengths": {0: Dim.AUTO}},
    ).module()
    x, lengths = torch.randn(6, 20, 4), torch.linspace(0.1, 1, 6)
    want = ours(x, lengths=lengths)
    for got, value in zip(exported(x, lengths=lengths), want):
        assert torch.allclose(got, value, atol=1e-6)


@pytest.mark.parametrize("strict", [False, True])
def test_crdnn(strict):
    model = CRDNN(
        input_shape=(3, 12, 6),
        cnn_channels=[2, 3],
        rnn_layers=1,
        rnn_neurons=5,
        dnn_neurons=4,
        time_pooling=True,
    ).eval()
    program = torch.export.export(
        model,
        (torch.randn(3, 12, 6), torch.ones(3)),
        dynamic_shapes=(OPEN, {0: Dim.AUTO}),
        strict=strict,
    )
    # Stock's convolutions: the compiler's own are not in the program.
    targets = {str(node.target) for node in program.graph.nodes}
    ours = {t for t in targets if t.startswith("speechbrain_ligru_fast")}
    assert ours == {"speechbrain_ligru_fast.scan.default"}
    x, lengths = torch.randn(5, 30, 6), torch.linspace(0.2, 1, 5)
    got = program.module()(x, lengths)
    assert torch.allclose(got, model(x, lengths), atol=1e-6)


@pytest.mark.parametrize("steps", [1, 6])
@pytest.mark.parametrize("grad", [False, True])
def test_trace(steps, grad):
    """torch's own check runs without gradients, and compares the graphs."""
    ours = fast.LiGRU(5, (3, 6, 4), bidirectional=True).eval()
    with torch.set_grad_enabled(grad):
        traced = torch.jit.trace(
            ours, (torch.randn(3, steps, 4),), check_trace=not grad
        )
    for shape in ((2, 9, 4), (4, 1, 4)):
        x = torch.randn(shape)
        assert torch.allclose(traced(x)[0], ours(x)[0], atol=1e-6)
