"""What a result row says of the layer that ran."""

import functools

import pytest
import torch
from speechbrain.nnet import RNN as stock_rnn

from speechbrain_ligru_fast import SLiGRU
from speechbrain_ligru_fast.lobe import CRDNN
from speechbrain_ligru_fast.lobe.describe_recurrent import describe_recurrent
from speechbrain_ligru_fast.recognition import padded as asr_padded


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_layers_over_padding_are_not_told_the_lengths(name):
    torch.manual_seed(0)
    padded, told = (
        CRDNN(
            input_shape=(2, 20, 16), rnn_neurons=4, rnn_class=getattr(rnn, name)
        ).eval()
        for rnn in (asr_padded, stock_rnn)
    )
    padded.load_state_dict(told.state_dict())
    assert describe_recurrent(padded, "cpu") == {
        "rnn": name,
        "impl": "torch-padded",
    }
    assert describe_recurrent(told, "cpu")["impl"] == "torch"
    x, lengths = torch.randn(2, 20, 16), torch.tensor([1.0, 0.5])
    whole = told(x)
    assert torch.equal(padded(x, lengths), whole)
    assert not torch.allclose(told(x, lengths)[0], whole[0])


@pytest.mark.parametrize(
    "layer, device, impl",
    [
        # That of the layer itself
        (functools.partial(SLiGRU, backend="reference"), "cpu", "reference"),
        # A GPU has none before it is proven.
        (SLiGRU, "cuda", "auto"),
    ],
)
def test_the_backend_is_told(layer, device, impl):
    encoder = CRDNN(input_shape=(2, 20, 16), rnn_neurons=4, rnn_class=layer)
    found = describe_recurrent(encoder, device)
    assert found == {"rnn": "SLiGRU", "impl": impl}
