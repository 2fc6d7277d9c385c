"""A LiGRU with tanh is torch's GRU, its reset gate open."""

import functools

import pytest
import torch
import twins

from speechbrain_ligru_fast import SLiGRU
from speechbrain_ligru_fast.deploy.gru import torch_gru

layer = functools.partial(twins.trained_layer, nonlinearity="tanh")


@pytest.mark.parametrize("bidirectional", [False, True])
def test_outputs_and_gradients(bidirectional):
    """Of U too: its rows in the GRU, of both directions together."""
    net = layer(bidirectional=bidirectional, normalization="identity")
    gru = torch_gru(net)
    x, hx = torch.randn(3, 8, 5), torch.randn(2 * net.directions, 3, 6)
    grad = torch.randn(3, 8, 6 * net.directions)
    found = []
    for model in (net, gru):
        leaves = [x.clone().requires_grad_(), hx.clone().requires_grad_()]
        output, hidden = model(*leaves)
        torch.autograd.backward([output, hidden], [grad, hidden.detach()])
        found.append([output, hidden, *(leaf.grad for leaf in leaves)])
    ends = ("", "_reverse")[: net.directions]
    for i, own in enumerate(net.rnn):
        for ours, theirs in (("w", "weight_ih"), ("u", "weight_hh")):
            found[0].append(getattr(own, ours).weight.grad)
            both = sum(getattr(gru, f"{theirs}_l{i}{end}").grad for end in ends)
            _, z, candidate = both.chunk(3)
            found[1].append(torch.cat([candidate, z]))
    for ours, theirs in zip(*found):
        twins.assert_close(theirs, ours)


def test_a_batch_norm_is_folded_in():
    net = layer(bidirectional=True)
    x = torch.randn(3, 8, 5)
    for ours, theirs in zip(net(x), torch_gru(net)(x)):
        twins.assert_close(theirs, ours)


@pytest.mark.parametrize(
    "made",
    [
        lambda: layer(nonlinearity="relu"),
        lambda: layer(SLiGRU),
        lambda: layer(normalization="layernorm"),
        lambda: layer().train(),
        lambda: layer().double(),
        lambda: torch.nn.GRU(5, 6),
    ],
)
def test_what_is_no_gru(made):
    with pytest.raises(ValueError, match="rnn: got .*expected a LiGRU"):
        torch_gru(made())
