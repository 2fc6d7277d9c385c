"""Tests for the integration of speechbrain-ligru-fast."""

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml

MODEL = """
__set_seed: !apply:torch.manual_seed [0]
model: !new:speechbrain.lobes.models.CRDNN.CRDNN
    input_shape: (4, 30, 20)
    rnn_class: !name:{}
    rnn_neurons: 6
    dnn_neurons: 5
"""


@pytest.mark.parametrize("name", ["LiGRU", "SLiGRU"])
def test_yaml_key_and_checkpoint(device, name):
    """One key of a YAML file changes the layer, and checkpoints stay valid."""
    inputs = torch.randn(4, 30, 20, device=device)
    stock, fast = (
        load_hyperpyyaml(MODEL.format(f"speechbrain.{module}.{name}"))["model"]
        .to(device)
        .eval()
        for module in ("nnet.RNN", "integrations.ligru_fast.layers")
    )
    fast.load_state_dict(stock.state_dict())
    torch.testing.assert_close(
        fast(inputs), stock(inputs), rtol=1e-3, atol=1e-4
    )
