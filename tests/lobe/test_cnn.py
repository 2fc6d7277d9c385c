"""The operators of a compiled CNN; test_crdnn_captured.py runs them in one."""

import pytest
import torch
import twins
from speechbrain.nnet.CNN import Conv2d, get_padding_elem
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
    # Of the time, before and after, then of the frequency.
    padding = []
    for i in (-1, -2):
        sizes = conv.stride[i], conv.kernel_size[i], conv.dilation[i]
        padding += get_padding_elem(2, *sizes)

    def function(x, weight, bias=None):
        shape = padding, conv.stride, conv.dilation, conv.groups
        return cnn.conv2d(x, weight, bias, *shape)

    leaves = [x, conv.weight] + ([] if conv.bias is None else [conv.bias])
    assert torch.equal(function(*leaves), stock(x))
    assert torch.autograd.gradcheck(function, leaves)


def test_opcheck():
    x = twins.data((2, 4, 6, 5))
    conv = nn.Conv2d(5, 2, 3).double()
    args = (x, conv.weight, conv.bias, [1, 1, 1, 1], [2, 1], [1, 1], 1)
    for frames in (None, torch.tensor([4, 2])):
        torch.library.opcheck(cnn.conv2d, (*args, frames))
    torch.library.opcheck(cnn.max_pool, (x, 2, 2))
    pooled, indices = cnn.max_pool(x.detach(), 2, 2)
    torch.library.opcheck(cnn.max_pool_backward, (pooled, indices, 2, 6))
