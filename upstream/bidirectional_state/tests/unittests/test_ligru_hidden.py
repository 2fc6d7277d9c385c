"""Tests of the hidden states that Li-GRU and SLi-GRU return and accept."""

import pytest
import torch


@pytest.mark.parametrize("name", ["LiGRU", "SLiGRU"])
def test_hidden_states(device, name):
    """They are ordered as torch.nn.GRU's and belong to one utterance each."""
    from speechbrain.nnet import RNN

    inputs = torch.randn(3, 7, 3, device=device)
    options = {"num_layers": 2, "bidirectional": True}
    net = getattr(RNN, name)(5, (4, 7, 3), "relu", "layernorm", **options)
    net = net.to(device).eval()
    start = torch.rand(4, 3, 5, device=device)
    output, hidden = net(inputs, hx=start)
    assert hidden.shape == start.shape
    torch.testing.assert_close(hidden[2], output[:, -1, :5])
    torch.testing.assert_close(hidden[3], output[:, 0, 5:])
    for i in range(3):
        alone = slice(i, i + 1)
        got, state = net(inputs[alone], hx=start[:, alone].contiguous())
        torch.testing.assert_close(got, output[alone])
        torch.testing.assert_close(state, hidden[:, alone])
    torch.testing.assert_close(torch.jit.script(net)(inputs), net(inputs))
