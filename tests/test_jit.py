"""torch.jit.script, which is SpeechBrain's --jit."""

import io
import itertools
import subprocess
import sys

import pytest
import torch
import twins

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast.lobe import CRDNN

SHAPE = (3, 7, 5)
LENGTHS = torch.tensor([1.0, 0.6, 0.3])


@pytest.mark.parametrize(
    "model, normalization",
    itertools.product(twins.MODELS, ("batchnorm", "layernorm", "identity")),
)
def test_scripted_layer(backend, model, normalization):
    key = "normalization" if model == "LiGRU" else "ff_normalization"
    ours = getattr(fast, model)(
        5,
        SHAPE,
        num_layers=2,
        bidirectional=True,
        backend=backend,
        **{key: normalization},
    ).double()
    state = {k: v.clone() for k, v in ours.state_dict().items()}
    x, hx = twins.data(SHAPE), twins.data((4, 3, 5), seed=6)
    for given in ({}, {"hx": hx}, {"hx": hx, "lengths": LENGTHS}):
        ours.load_state_dict(state)
        want = twins.run(ours, x, **given)
        ours.load_state_dict(state)
        scripted = torch.jit.script(ours)
        twins.assert_equal(twins.run(scripted, x, **given), want)


def test_scripted_layer_from_a_file():
    ours = fast.SLiGRU(5, (3, 7, 5, 1), dropout=0.2).eval()
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(ours), file)
    file.seek(0)
    loaded = torch.jit.load(file)
    x = torch.randn(3, 7, 5, 1)
    output, hidden = loaded(x, lengths=LENGTHS)
    assert torch.allclose(output, ours(x, lengths=LENGTHS)[0])
    assert output.shape == (3, 7, 5) and hidden.shape == (1, 3, 5)
    # Other sizes, and dropout once in train mode. Two masks may be equal:
    # this seed's are not.
    torch.manual_seed(1)
    loaded.train()
    x = torch.randn(2, 4, 5, 1)
    assert not torch.equal(loaded(x)[0], loaded(x)[0])


@pytest.mark.parametrize("pooling", ["time_pooling", "using_2d_pooling"])
def test_scripted_crdnn(pooling):
    model = CRDNN(
        input_shape=(3, 12, 6),
        cnn_channels=[2, 3],
        rnn_layers=2,
        rnn_neurons=5,
        dnn_neurons=4,
        dropout=0.0,
        **{pooling: True},
    ).eval()
    scripted = torch.jit.script(model)
    x = torch.randn(3, 12, 6)
    assert torch.allclose(scripted(x), model(x))
    assert torch.allclose(scripted(x, LENGTHS), model(x, LENGTHS))
    scripted.train()(x, LENGTHS).square().sum().backward()
    assert model.RNN.rnn[0].u.weight.grad.any()


def test_scripted_layer_checks_its_input():
    scripted = torch.jit.script(fast.LiGRU(5, SHAPE))
    for given, words in (
        (dict(x=torch.randn(3, 7, 4)), "x: got 4 features, expected 5"),
        (dict(x=torch.ones(3, 7, 5).long()), "x: got dtype"),
        (
            dict(x=torch.randn(3, 7, 5), lengths=torch.ones(2)),
            "lengths: got shape",
        ),
        (
            dict(x=torch.randn(3, 7, 5), lengths=torch.tensor([9.0, 1, 1])),
            "expected relative lengths in",
        ),
    ):
        with pytest.raises(torch.jit.Error, match=words):
            scripted(**given)


def test_scripted_layer_in_another_process(tmp_path):
    file = tmp_path / "net.pt"
    torch.jit.save(torch.jit.script(fast.LiGRU(5, SHAPE)), file)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import torch, speechbrain_ligru_fast.ops\n"
            f"net = torch.jit.load({str(file)!r})\n"
            f"print(tuple(net(torch.randn{SHAPE})[0].shape))",
        ],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "(3, 7, 5)", done.stderr
