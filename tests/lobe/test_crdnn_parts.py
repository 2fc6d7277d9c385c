"""The parts of a CRDNN that know lengths stay SpeechBrain's."""

import pytest
import torch
import twins
from speechbrain.nnet.CNN import Conv2d
from torch import nn

from speechbrain_ligru_fast.lobe import crdnn_parts as parts


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": (1, 2), "kernel_size": (3, 5)},
        {"dilation": (2, 1), "bias": False},
        {"out_channels": 6, "groups": 3},
        {"out_channels": 1},
        {"weight_norm": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(2, 9, 7, 3), (2, 9, 7)], ids=str)
def test_a_convolution_as_it_lies(options, shape):
    """Output and gradients are stock's; nothing is laid out anew."""
    given = {"out_channels": 4, "kernel_size": (3, 3)} | options
    if len(shape) == 3:
        given.pop("groups", None)
    part = Conv2d(**given, input_shape=shape).double()
    found = []
    for _ in range(2):
        part.zero_grad()
        x = twins.data(shape)
        y = part(x)
        y.square().sum().backward()
        grads = [p.grad.clone() for p in part.parameters()]
        found.append([y, x.grad, *grads])
        parts.make_aware(part)
    for got, want in zip(*reversed(found), strict=True):
        assert twins.error(got, want) < 1e-13
    # SpeechBrain 1.1.0 normalises weights in a hook: that is called as ever.
    if parts.lies_well(x, part.conv) and y.dim() == 4:
        assert found[1][0].is_contiguous()
    else:
        assert given.keys() & {"weight_norm", "out_channels"}


def test_ends_reflected_as_it_lies():
    """As where torch.func, which is not served so, sees each operation."""
    part = Conv2d(4, (3, 5), input_shape=(2, 9, 7, 3)).double()
    parts.make_aware(part)
    x, frames = twins.data((2, 9, 7, 3)), torch.tensor([9, 5])

    def size(x):
        return part(x, frames).square().sum()

    (got,) = torch.autograd.grad(size(x), x, create_graph=True)
    assert twins.error(got, torch.func.grad(size)(x)) < 1e-14
    assert torch.autograd.gradgradcheck(size, (x,))


def test_parts_stay_the_same_objects_with_hooks():
    conv = Conv2d(4, (3, 3), input_shape=(2, 9, 7, 3))
    model = nn.Sequential(conv, nn.Linear(2, 2))
    state = model.state_dict(keep_vars=True)
    parts.make_aware(model)
    assert model[0] is conv and isinstance(conv, Conv2d)
    assert type(model[1]) is nn.Linear
    now = model.state_dict(keep_vars=True)
    assert all(now[name] is state[name] for name in state | now)
    seen = []
    conv.conv.register_forward_hook(lambda *call: seen.append(call))
    conv(torch.randn(2, 9, 7, 3))
    assert len(seen) == 1
