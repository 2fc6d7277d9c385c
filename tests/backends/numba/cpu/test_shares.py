"""However the work is shared, the result is one thread's."""

import itertools

import pytest
import torch
from scan_cases import drawn, run

from speechbrain_ligru_fast import ligru_scan
from speechbrain_ligru_fast.backends.spec import ScanSpec

cpu = pytest.importorskip("speechbrain_ligru_fast.backends.numba.cpu")

from speechbrain_ligru_fast.backends.numba.cpu import (  # noqa: E402
    shares,
    team,
)

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def test_the_longest_rows_come_first():
    (found,) = shares.deal(torch.tensor([2, 0, 3]), 3, 2, 4, 1, False)
    assert found["order"].tolist() == [2, 5, 0, 3, 1, 4]
    assert found["active"].tolist() == [4, 4, 2, 0]


@pytest.mark.parametrize("lengths", [None, [5, 0, 7, 7, 2, 3, 1]])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("together", [False, True])
def test_every_row_is_dealt_once(lengths, directions, together):
    of_rows = torch.tensor(lengths or [7] * 7).repeat(directions)
    given = None if lengths is None else torch.tensor(lengths)
    dealt = shares.deal(given, 7, directions, 7, 3, together)
    rows = torch.cat([own["order"] for own in dealt])
    assert sorted(rows.tolist()) == list(range(7 * directions))
    assert max(map(len, (own["order"] for own in dealt))) <= 3 * directions
    for own in dealt:
        ends = of_rows[own["order"]]
        for step in range(7):
            assert (ends[: own["active"][step]] > step).all()
            assert (ends[own["active"][step] :] <= step).all()
        if together and directions == 2:
            # That which goes forward comes first.
            first, second = own["order"].unflatten(0, (-1, 2)).unbind(1)
            if lengths is None:
                first, second = own["order"].chunk(2)
            assert torch.equal(first.sort()[0] + 7, second.sort()[0])


@pytest.mark.parametrize(
    "batch, steps, hidden, options, threads, want",
    [
        # Too little for two.
        (1, 1000, 64, {}, 2, (1, 1)),
        (16, 2, 32, {}, 2, (1, 1)),
        # Rows fill whole tiles: nobody needs to wait.
        (8, 100, 64, {}, 2, (2, 2)),
        (8, 100, 512, {}, 2, (2, 2)),
        (8, 100, 512, {"directions": 2}, 4, (4, 4)),
        # But each would read weights that no cache holds.
        (8, 100, 2048, {"directions": 2}, 4, (4, 1)),
        # Half of a tile's rows would be none.
        (2, 100, 512, {"directions": 2}, 2, (2, 1)),
        (6, 100, 512, {"directions": 2}, 2, (2, 1)),
        # So would be a fourth of them, which costs less than meetings do.
        (6, 100, 128, {"directions": 2, "layernorm": True}, 2, (2, 2)),
        # More threads than tiles.
        (8, 100, 512, {}, 8, (8, 1)),
    ],
)
def test_the_plan(batch, steps, hidden, options, threads, want, monkeypatch):
    found = planned(batch, steps, hidden, None, threads, monkeypatch, **options)
    assert found == want


def planned(batch, steps, hidden, lengths, threads, monkeypatch, **options):
    """How many threads and shares, where there are so many threads."""
    monkeypatch.setattr(team, "size", lambda n: max(1, min(n, threads)))
    spec, packed = ScanSpec(**options), 8 * hidden * hidden
    number, dealt = shares.plan(
        None, spec, (batch, steps, hidden), hidden // 32, packed, lengths, False
    )
    return number, len(dealt)


@pytest.mark.parametrize(
    "lengths, want",
    [
        ([200] * 8, (2, 2)),
        # After ten steps two rows are left: one tile, or one for each.
        ([200] + [10] * 7, (2, 1)),
        ([0] * 8, (2, 1)),
    ],
)
def test_the_plan_counts_frames(lengths, want, monkeypatch):
    lengths = torch.tensor(lengths)
    assert planned(8, 200, 512, lengths, 2, monkeypatch, directions=2) == want


@pytest.mark.parametrize("layernorm", [False, True])
@pytest.mark.parametrize("lengths", [False, True])
def test_every_plan_gives_the_same(layernorm, lengths, monkeypatch):
    dtype = torch.float64 if layernorm else torch.float32
    given = drawn(
        operand=dtype, dtype=dtype, batch=11, steps=9, hidden=70,
        directions=2, lengths=lengths, layernorm=layernorm,
        nonlinearity="tanh", mask=True, h0=True,
    )  # fmt: skip

    def found(threads, count):
        def plan(words, spec, sizes, panels, packed, lengths, together):
            rows = lengths, sizes[0], spec.directions, sizes[1]
            return threads, shares.deal(*rows, count, together)

        monkeypatch.setattr(shares, "plan", plan)
        return run(ligru_scan, given, backend="numba")

    plans = [found(*plan) for plan in ((1, 1), (2, 1), (2, 2), (3, 3))]
    # OpenMP may give fewer threads than it was asked for.
    called = team.run
    monkeypatch.setattr(team, "run", lambda f, x, _: called(f, x, 1))
    plans.append(found(3, 3))
    for one, other in itertools.pairwise(plans):
        for name, value in one.items():
            # LayerNorm's sums are of other parts.
            torch.testing.assert_close(
                value, other[name], rtol=0, atol=1e-12 if layernorm else 0
            )
