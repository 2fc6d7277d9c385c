"""Implementations take turns, and warm-up is not timed."""

from benchmarks import timing


class Counter:
    """Counts its calls; prepare must come before each."""

    def __init__(self):
        self.calls = self.prepared = 0

    def prepare(self):
        self.prepared += 1

    def __call__(self):
        self.calls += 1
        assert self.prepared == self.calls


def test_warm_up_is_not_timed_and_all_take_turns():
    steps = {"a": Counter(), "b": Counter()}
    times = timing.interleave(steps, {"a": 5, "b": 2}, 3, 0.0)
    assert {key: len(found) for key, found in times.items()} == {
        "a": 3,
        "b": 3,
    }
    assert (steps["a"].calls, steps["b"].calls) == (8, 5)
