"""What a training took, across interruptions."""

import math

import pytest

from speechbrain_ligru_fast.training import timing
from speechbrain_ligru_fast.training.timing import EpochTimer


@pytest.fixture
def clock(monkeypatch):
    """Moves the time that is measured."""
    now = [100.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def move(seconds):
        now[0] += seconds

    return move


def test_time_and_memory_of_two_processes(clock, tmp_path):
    path = tmp_path / "timer"
    timer = EpochTimer(lambda: 500.0)
    clock(50)  # before the first epoch
    timer.start(place="CPU")
    clock(10)
    timer.stop()
    clock(5)  # validation
    assert timer.elapsed() == 15
    timer.start(place="CPU")
    clock(4)
    timer.save(path)  # within the epoch
    clock(3)  # lost

    timer = EpochTimer(lambda: 20.0)
    timer.load(path)
    clock(1000)
    assert (timer.elapsed(), timer.peak_mb()) == (19, 500)
    timer.start(complete=False, place="CPU")
    clock(6)
    assert timer.stop() == 6
    clock(1)
    assert timer.elapsed() == 26
    # Training seconds of complete epochs.
    assert timer.epochs == [[10, "CPU"]] and timer.median(3, "CPU") == 10


def test_an_epochs_time_is_of_where_it_ran(clock, tmp_path):
    timer, path = EpochTimer(lambda: 0.0), tmp_path / "timer"
    for place, seconds in (("CPU", 9), ("CPU", 10), ("GPU", 2), ("GPU", 4)):
        timer.start(place=place)
        clock(seconds)
        timer.stop()
    timer.save(path)
    timer = EpochTimer(lambda: 0.0)
    timer.load(path)
    assert [timer.median(3, place) for place in ("CPU", "GPU")] == [10, 3]
    assert math.isnan(timer.median(3, "TPU"))
