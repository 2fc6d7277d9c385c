"""The recurrent dropout mask: fresh at each call, constant over time."""

import pytest
import torch
import twins

from speechbrain_ligru_fast import LiGRU

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def test_one_mask_a_row_and_a_fresh_one_a_call(monkeypatch):
    ours = LiGRU(64, (3, 7, 4), dropout=0.4, bidirectional=True)
    masks = []
    sample = ours.rnn[0]._sample_mask

    def record(*args):
        masks.append(sample(*args))
        return masks[-1]

    monkeypatch.setattr(ours.rnn[0], "_sample_mask", record)
    x = torch.randn(3, 7, 4)
    first, second = ours(x)[0], ours(x)[0]
    assert not torch.equal(first, second)
    a, b = masks
    assert a.shape == (6, 64) and not torch.equal(a, b)
    assert len({tuple(row) for row in a.tolist()}) == 6
    kept = torch.tensor(1 / 0.6)
    assert set(a.unique().tolist()) == {0.0, kept.item()}
    assert 0.25 < (a == 0).float().mean() < 0.55
    # From zero states a unit that its row drops stays 0 at every frame.
    dropped = (a[:3] == 0).unsqueeze(1).expand(3, 7, 64)
    assert not first[..., :64][dropped].any()
    ours.eval()
    assert torch.equal(ours(x)[0], ours(x)[0])
    assert len(masks) == 2


def test_dropout_is_stocks_given_its_mask(backend, monkeypatch):
    ours, theirs = twins.build(
        "SLiGRU", (3, 5, 4), backend, dropout=0.5, bidirectional=True
    )
    x = twins.data((3, 5, 4))
    mask = theirs.rnn[0].drop_masks[:6].double()
    monkeypatch.setattr(ours.rnn[0], "_sample_mask", lambda *_: mask)
    got, want = twins.run(ours, x), twins.run(theirs, x)
    assert 0 < mask.count_nonzero() < mask.numel()
    twins.assert_equal(got, want, skip=("hidden",))
