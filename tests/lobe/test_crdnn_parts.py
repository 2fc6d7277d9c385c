"""The parts of a CRDNN that know lengths stay SpeechBrain's."""

import pytest
import torch
import twins
from speechbrain.nnet.CNN import Conv2d
from speechbrain.nnet.pooling import Pooling1d, Pooling2d
from torch import nn

from speechbrain_ligru_fast.lobe import crdnn_parts as parts


@pytest.mark.parametrize(
    "part, shape",
    [
        (Pooling1d("max", 3, input_dims=4, pool_axis=2), (2, 7, 6, 3)),
        (Pooling2d("max", (2, 3), pool_axis=(1, 2)), (2, 7, 6, 3)),
        (Conv2d(4, (3, 5), input_shape=(2, 6, 7)), (2, 6, 7)),
        (Conv2d(4, (3, 5), input_shape=(2, 6, 7, 3)), (2, 6, 7, 3)),
    ],
    ids=["pooling1d", "pooling2d", "unsqueezed", "conv2d"],
)
def test_computes_what_stocks_does_compiled_or_not(part, shape):
    x = twins.data(shape).detach()
    want = part.double()(x)
    parts.make_aware(part)
    assert torch.equal(part(x), want)
    torch._dynamo.reset()
    assert torch.equal(torch.compile(part, backend="eager")(x), want)


def test_crdnn_parts_stay_the_same_objects():
    conv = Conv2d(2, 3, input_shape=(2, 6, 7))
    model = nn.Sequential(conv, nn.Linear(2, 2))
    conv, state = model[0], model.state_dict(keep_vars=True)
    parts.make_aware(model)
    assert model[0] is conv and isinstance(conv, Conv2d)
    assert all(
        value is state[name]
        for name, value in model.state_dict(keep_vars=True).items()
    )
    assert type(model[1]) is nn.Linear
