"""The poison of the other tests works."""

import numpy
import pytest
import torch
import twins

from speechbrain_ligru_fast.scan import operator as ops

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def test_every_way_to_allocate_is_poisoned():
    x = torch.ones(3)
    for tensor in (
        torch.empty(3),
        torch.empty_like(x),
        x.new_empty(3),
        torch.empty_strided((3,), (1,)),
        torch.empty(8, dtype=torch.uint8).view(torch.float64),
        torch.from_numpy(numpy.empty(3)),
        torch.from_numpy(numpy.empty_like(x.numpy())),
    ):
        assert tensor.isnan().all()


def test_a_forgotten_cell_fails(backend, monkeypatch):
    ours, theirs = twins.build("LiGRU", (2, 5, 3), backend)
    x = twins.data((2, 5, 3))
    want = twins.run(theirs, x)
    twins.assert_equal(twins.run(ours, x), want)
    complete = ops.previous_hidden

    def forgetful(output, *rest):
        previous = complete(output, *rest)
        previous[0, 0, 0, 0] = torch.empty(())
        return previous

    monkeypatch.setattr(ops, "previous_hidden", forgetful)
    with pytest.raises(AssertionError, match="grad"):
        twins.assert_equal(twins.run(ours, x), want)
