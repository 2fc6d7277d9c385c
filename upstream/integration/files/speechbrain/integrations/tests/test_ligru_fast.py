"""Tests for the integration of speechbrain-ligru-fast."""

import importlib
import sys

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml

MODEL = """
shape: (4, 30, 20)
model: !new:speechbrain.lobes.models.CRDNN.CRDNN
    input_shape: !ref <shape>
    cnn_blocks: 1
    cnn_channels: (4,)
    rnn_class: !name:{rnn_class}
    rnn_neurons: 6
    rnn_layers: 2
    rnn_bidirectional: True
    dnn_neurons: 5
"""
STOCK = "speechbrain.nnet.RNN"
FAST = "speechbrain.integrations.ligru_fast.layers"
# Sums in another order, through a whole model in float32.
CLOSE = {"rtol": 1e-3, "atol": 1e-4}


def model(rnn_class, device):
    """A CRDNN from YAML whose dropout is off."""
    torch.manual_seed(0)
    hparams = load_hyperpyyaml(MODEL.format(rnn_class=rnn_class))
    return hparams["model"].to(device).eval()


@pytest.mark.parametrize("name", ["LiGRU", "SLiGRU"])
def test_yaml_key_and_checkpoint(device, name):
    """One key of a YAML file changes the layer, and checkpoints stay valid."""
    stock = model(f"{STOCK}.{name}", device)
    fast = model(f"{FAST}.{name}", device)
    inputs = torch.randn(4, 30, 20, device=device)

    fast.load_state_dict(stock.state_dict())
    torch.testing.assert_close(fast(inputs), stock(inputs), **CLOSE)


@pytest.mark.parametrize("name", ["LiGRU", "SLiGRU"])
def test_accelerate_and_restore(device, name):
    """A model that exists keeps its output and its gradients, both ways."""
    from speechbrain.integrations.ligru_fast.layers import accelerate, restore

    net = model(f"{STOCK}.{name}", device)
    inputs = torch.randn(4, 30, 20, device=device)

    def results():
        """The output and all gradients."""
        net.zero_grad()
        output = net(inputs)
        output.square().mean().backward()
        gradients = {
            key: parameter.grad.clone()
            for key, parameter in net.named_parameters()
        }
        return output, gradients

    expected = results()
    accelerate(net)
    kinds = {type(m).__module__ for m in net.modules() if hasattr(m, "rnn")}
    assert STOCK not in kinds
    torch.testing.assert_close(results(), expected, **CLOSE)
    restore(net)
    torch.testing.assert_close(results(), expected)


def test_crdnn_with_lengths(device):
    """An utterance's result does not depend on the padding after it."""
    from speechbrain.integrations.ligru_fast.layers import CRDNN, SLiGRU

    inputs = torch.randn(2, 30, 20, device=device)
    lengths = torch.tensor([1.0, 0.5], device=device)
    net = CRDNN(
        input_shape=inputs.shape,
        rnn_class=SLiGRU,
        rnn_neurons=6,
        rnn_bidirectional=True,
        cnn_blocks=0,
        dnn_blocks=0,
        time_pooling=False,
    )
    net = net.to(device).eval()

    output = net(inputs, lengths)
    inputs[1, 15:] = 100.0
    torch.testing.assert_close(net(inputs, lengths), output)


def test_the_package_is_missing(monkeypatch):
    """Who has not installed it is told what to do."""
    name = "speechbrain.integrations.ligru_fast"
    monkeypatch.setitem(sys.modules, "speechbrain_ligru_fast", None)
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ImportError, match="pip install"):
        importlib.import_module(name)
