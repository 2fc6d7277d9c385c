"""Valid frames side by side, and back."""

import torch
import twins

from speechbrain_ligru_fast.layers.packed_frames import index_of, pack, unpack

FRAMES = torch.tensor([4, 1, 2])


def test_derivatives_are_each_other():
    index = index_of(torch.ones(3, 4, 2), FRAMES)
    assert index.tolist() == [0, 1, 2, 3, 4, 8, 9]
    x, rows = twins.data((3, 4, 2)), twins.data((7, 2))
    for function, given in (
        (lambda x: pack(x, index), x),
        (lambda rows: unpack(rows, index, 3, 4), rows),
    ):
        assert torch.autograd.gradcheck(function, given)
        assert torch.autograd.gradgradcheck(function, given)
    assert torch.equal(pack(unpack(rows, index, 3, 4), index), rows)


def test_what_repays():
    x = torch.ones(3, 4, 2)
    for frames in ([4, 4, 4], [0, 0, 0], [1, 0, 0]):
        assert index_of(x, torch.tensor(frames)) is None
    assert index_of(x, torch.tensor([1, 1, 0])).tolist() == [0, 4]


def test_what_follows_data_does_not_pack():
    """Fake tensors have no values; transforms and compilers see formulas."""
    seen = []

    def call(x):
        seen.append(index_of(x, FRAMES) is not None)
        return x

    x = torch.ones(3, 4, 2)
    torch.func.vmap(call)(torch.ones(1, 3, 4, 2))
    torch.jit.trace(call, x, check_trace=False)
    call(x.to("meta"))
    with torch.device("cpu"):
        call(x)
    torch.compile(call, backend="eager", fullgraph=True)(x)
    assert seen == [False, False, False, True, False]
