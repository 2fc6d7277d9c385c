"""Tests of the hidden states that Li-GRU and SLi-GRU return and accept."""

import pytest
import torch

HIDDEN = 5
LAYERS = 2


def layer(name, device, batch, bidirectional):
    """A stack whose output for an utterance depends on no other one."""
    from speechbrain.nnet import RNN

    normalization = "normalization" if name == "LiGRU" else "ff_normalization"
    net = getattr(RNN, name)(
        hidden_size=HIDDEN,
        input_shape=(batch, 7, 3),
        num_layers=LAYERS,
        bidirectional=bidirectional,
        **{normalization: "layernorm"},
    )
    return net.to(device).eval()


@pytest.mark.parametrize("name", ["LiGRU", "SLiGRU"])
def test_bidirectional_states(device, name):
    """Final states are ordered as torch.nn.GRU's."""
    inputs = torch.randn(3, 7, 3, device=device)
    net = layer(name, device, 3, bidirectional=True)

    output, hidden = net(inputs)

    assert hidden.shape == (LAYERS * 2, 3, HIDDEN)
    torch.testing.assert_close(hidden[-2], output[:, -1, :HIDDEN])
    torch.testing.assert_close(hidden[-1], output[:, 0, HIDDEN:])
    first = net.rnn[0](inputs)
    torch.testing.assert_close(hidden[0], first[:, -1, :HIDDEN])
    torch.testing.assert_close(hidden[1], first[:, 0, HIDDEN:])


@pytest.mark.parametrize("name", ["LiGRU", "SLiGRU"])
def test_bidirectional_start(device, name):
    """Each utterance starts from its own states, in a batch of any size."""
    inputs = torch.randn(3, 7, 3, device=device)
    start = torch.rand(LAYERS * 2, 3, HIDDEN, device=device)
    net = layer(name, device, 4, bidirectional=True)

    output, hidden = net(inputs, hx=start)

    for i in range(3):
        alone = slice(i, i + 1)
        got, state = net(inputs[alone], hx=start[:, alone].contiguous())
        torch.testing.assert_close(got, output[alone])
        torch.testing.assert_close(state, hidden[:, alone])


@pytest.mark.parametrize("name", ["LiGRU", "SLiGRU"])
def test_unidirectional_states(device, name):
    """Two halves, the states handed on, are the whole."""
    inputs = torch.randn(3, 7, 3, device=device)
    net = layer(name, device, 3, bidirectional=False)

    output, hidden = net(inputs)
    first, state = net(inputs[:, :4])
    second, state = net(inputs[:, 4:], hx=state)

    torch.testing.assert_close(torch.cat([first, second], 1), output)
    torch.testing.assert_close(state, hidden)
    assert hidden.shape == (LAYERS, 3, HIDDEN)


@pytest.mark.parametrize("name", ["LiGRU", "SLiGRU"])
def test_jit(device, name):
    """The scripted layer gives the same states."""
    inputs = torch.randn(3, 7, 3, device=device)
    net = layer(name, device, 3, bidirectional=True)

    scripted = torch.jit.script(net)
    torch.testing.assert_close(scripted(inputs)[1], net(inputs)[1])
