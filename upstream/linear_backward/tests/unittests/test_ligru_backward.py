"""Tests of the cost of Li-GRU's and SLi-GRU's backward."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Counter(TorchDispatchMode):
    """Counts the elements of all tensors that operators return."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        for result in filter(torch.is_tensor, tree_leaves(results)):
            self.elements += result.numel()
        return results


@pytest.mark.parametrize("name", ["LiGRU", "SLiGRU"])
def test_backward_is_linear_in_the_length(device, name):
    """Twice the frames make twice the work, and not four times."""
    from speechbrain.nnet import RNN

    net = getattr(RNN, name)(5, (2, 100, 3), bidirectional=True).to(device)
    work = []
    for frames in (100, 200):
        output, _ = net(torch.randn(2, frames, 3, device=device))
        with Counter() as counter:
            output.sum().backward()
        work.append(counter.elements)
    assert work[1] / work[0] < 2.2
    inputs = torch.randn(2, 4, 3, device=device)
    expected = net.eval()(inputs)
    torch.testing.assert_close(torch.jit.script(net)(inputs), expected)
