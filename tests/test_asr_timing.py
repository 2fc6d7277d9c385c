"""What a training took, across interruptions, and how it is plotted."""

import json

import pytest

from benchmarks import curves
from speechbrain_ligru_fast.asr import timing
from speechbrain_ligru_fast.asr.timing import EpochTimer


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
    timer.first_commit = "abc"
    clock(50)  # before the first epoch
    timer.start()
    clock(10)
    timer.stop()
    clock(5)  # validation
    assert timer.elapsed() == 15
    timer.start()
    clock(4)
    timer.save(path)  # within the epoch
    clock(3)  # lost

    timer = EpochTimer(lambda: 20.0)
    timer.load(path)
    clock(1000)
    assert (timer.elapsed(), timer.peak_mb()) == (19, 500)
    timer.start(complete=False)
    clock(6)
    assert timer.stop() == 6
    clock(1)
    assert timer.elapsed() == 26
    # Training seconds of complete epochs.
    assert (timer.seconds, timer.median(3)) == ([10], 10)
    assert timer.first_commit == "abc"


def test_an_epochs_time_is_of_where_it_ran(clock, tmp_path):
    timer, path = EpochTimer(lambda: 0.0), tmp_path / "timer"
    for place, seconds in (("CPU", 10), ("GPU", 2), ("GPU", 4)):
        timer.start(place=place)
        clock(seconds)
        timer.stop()
    timer.save(path)
    timer = EpochTimer(lambda: 0.0)
    timer.load(path)
    medians = [timer.median(3, place) for place in (None, "CPU", "GPU", "TPU")]
    assert medians == [4, 10, 3, pytest.approx(float("nan"), nan_ok=True)]


def test_checkpoint_of_an_older_version(clock, tmp_path):
    path = tmp_path / "timer"
    path.write_text(json.dumps([3.0, 5.0]))
    timer = EpochTimer(lambda: 20.0)
    timer.load(path)
    assert timer.median(2) == 4 and timer.median(1) == 5
    # Not known: when it was resumed for its test alone, say.
    assert timer.peak_mb() is timer.elapsed() is timer.first_commit is None
    timer.start()
    clock(7)
    timer.stop()
    timer.save(path)
    assert timer.seconds == [3, 5, 7] and timer.elapsed() is None
    assert timer.peak_mb() == 20


LINE = (
    "epoch: {epoch}, lr: 1.00e-03{elapsed} - train loss: 3.5, train s: 60.0 "
    "- valid loss: 2.5, valid WER: {wer}\n"
)


def log(path, *lines):
    path.write_text("".join(LINE.format(**line) for line in lines))
    return curves.read_log(path)


def test_validation_counts_where_it_was_timed(tmp_path):
    timed, old = (
        log(
            tmp_path / "train_log.txt",
            {"epoch": 1, "elapsed": first, "wer": 90},
            {"epoch": 2, "elapsed": second, "wer": 80},
        )
        for first, second in (
            (", elapsed s: 90.0", ", elapsed s: 180.0"),
            ("", ""),
        )
    )
    assert timed["minutes"].tolist() == [1.5, 3]
    assert old["minutes"].tolist() == [1, 2]


def test_an_error_above_100_is_in_the_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "_image", lambda figure: figure.axes[0])
    frame = log(
        tmp_path / "train_log.txt",
        {"epoch": 1, "elapsed": "", "wer": 180},
        {"epoch": 2, "elapsed": "", "wer": 80},
    )
    axes = curves.error_by_time({"LiGRU": [frame]}, "WER")
    low, high = axes.get_ylim()
    assert low == 0 and high >= 180
    (text,) = axes.get_legend().get_texts()
    assert text.get_text() == "LiGRU (without validation)"
