"""Tests of the cost of Li-GRU's and SLi-GRU's backward."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class ElementCounter(TorchDispatchMode):
    """Counts the elements of all tensors that operators return."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        for result in tree_leaves(results):
            if isinstance(result, torch.Tensor):
                self.elements += result.numel()
        return results


def elements_of_backward(net, inputs):
    """Elements that a backward makes."""
    output, _ = net(inputs)
    counter = ElementCounter()
    with counter:
        output.sum().backward()
    return counter.elements


@pytest.mark.parametrize("name", ["LiGRU", "SLiGRU"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_backward_is_linear_in_the_length(device, name, bidirectional):
    """Twice the frames make twice the work, and not four times."""
    from speechbrain.nnet import RNN

    short = torch.randn(2, 100, 3, device=device)
    long = torch.randn(2, 200, 3, device=device)
    net = getattr(RNN, name)(
        hidden_size=5, input_shape=short.shape, bidirectional=bidirectional
    ).to(device)

    ratio = elements_of_backward(net, long) / elements_of_backward(net, short)
    assert ratio < 2.2


@pytest.mark.parametrize("name", ["LiGRU", "SLiGRU"])
def test_gradients(device, name):
    """The gradients are those of finite differences."""
    from speechbrain.nnet import RNN

    inputs = torch.randn(2, 4, 3, device=device, dtype=torch.float64)
    net = getattr(RNN, name)(
        hidden_size=5,
        input_shape=inputs.shape,
        nonlinearity="tanh",
        bidirectional=True,
    )
    net = net.to(device).double()

    inputs.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: net(x)[0], inputs)


@pytest.mark.parametrize("name", ["LiGRU", "SLiGRU"])
def test_jit(device, name):
    """The scripted layer gives the same output."""
    from speechbrain.nnet import RNN

    inputs = torch.randn(2, 4, 3, device=device)
    net = getattr(RNN, name)(hidden_size=5, input_shape=inputs.shape)
    net = net.to(device).eval()

    scripted = torch.jit.script(net)
    torch.testing.assert_close(scripted(inputs)[0], net(inputs)[0])
