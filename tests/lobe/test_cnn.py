"""The operators that replace stock's CNN inside a compiled graph."""

import pytest
import torch
import twins
from speechbrain.nnet.CNN import Conv2d, get_padding_elem
from speechbrain.nnet.pooling import Pooling1d
from torch import nn

from speechbrain_ligru_fast.lobe import cnn

pytestmark = pytest.mark.usefixtures("poisoned_memory")


@pytest.mark.parametrize(
    "options",
    [
        {"bias": False},
        {"stride": (2, 1), "kernel_size": (5, 3)},
        {"dilation": (1, 2), "groups": 2},
    ],
)
def test_conv2d(options):
    x = twins.data((2, 6, 7, 2))
    options = {"kernel_size": (3, 5), **options}
    stock = Conv2d(4, input_shape=x.shape, **options).double()
    conv = stock.conv
    padding = [
        pad
        for axis in (-1, -2)
        for pad in get_padding_elem(
            2, conv.stride[axis], conv.kernel_size[axis], conv.dilation[axis]
        )
    ]
    args = (padding, conv.stride, conv.dilation, conv.groups)

    def function(*leaves):
        leaves = leaves if len(leaves) == 3 else (*leaves, None)
        return cnn.conv2d(*leaves, *args)

    leaves = [x, conv.weight] + ([] if conv.bias is None else [conv.bias])
    assert torch.equal(function(*leaves), stock(x))
    assert torch.autograd.gradcheck(function, leaves)


def test_conv2d_of_utterances_that_end():
    """As each alone, and what is written to its end has its gradient."""
    x = twins.data((3, 9, 7, 2))
    conv = nn.Conv2d(2, 4, 5).double()
    frames = torch.tensor([9, 3, 8])
    args = ([2, 2, 2, 2], [1, 1], [1, 1], 1)

    def function(x, weight, bias):
        out = cnn.conv2d(x, weight, bias, *args, frames)
        return torch.cat([out[b, :n] for b, n in enumerate(frames)])

    leaves = (x, conv.weight, conv.bias)
    want = [
        cnn.conv2d(x[b : b + 1, :n], *leaves[1:], *args)[0]
        for b, n in enumerate(frames)
    ]
    assert torch.allclose(function(*leaves), torch.cat(want), atol=1e-12)
    assert torch.autograd.gradcheck(function, leaves)


@pytest.mark.parametrize("axis, size", [(1, 2), (2, 3), (1, 1)])
def test_max_pool(axis, size):
    x = twins.data((2, 7, 6, 3)).transpose(0, 3)
    pooling = Pooling1d("max", size, input_dims=4, pool_axis=axis)
    want = pooling(x)
    got, _ = cnn.max_pool(x, axis, size)
    assert torch.equal(got, want)
    leaf = x.detach().requires_grad_()

    def function(x):
        return cnn.max_pool(x, axis, size)[0]

    assert torch.autograd.gradcheck(function, leaf)


def test_opcheck():
    x = twins.data((2, 4, 6, 5))
    conv = nn.Conv2d(5, 2, 3).double()
    args = (x, conv.weight, conv.bias, [1, 1, 1, 1], [2, 1], [1, 1], 1)
    for frames in (None, torch.tensor([4, 2])):
        torch.library.opcheck(cnn.conv2d, (*args, frames))
    torch.library.opcheck(cnn.max_pool, (x, 2, 2))
    pooled, indices = cnn.max_pool(x.detach(), 2, 2)
    torch.library.opcheck(cnn.max_pool_backward, (pooled, indices, 2, 6))
