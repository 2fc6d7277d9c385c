"""How a training's log is read and drawn."""

import pytest

from benchmarks import curves

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


@pytest.fixture
def two_seeds(tmp_path, monkeypatch):
    """Logs of two seeds; a figure's axes in place of its image."""
    monkeypatch.setattr(curves, "_image", lambda figure: figure.axes[0])
    text = (
        "epoch: {0}, lr: 1.00e-03, elapsed s: {1} - train loss: {2}, "
        "train s: 60.0 - valid loss: {3}, valid WER: {4}, valid CER: 7\n"
    )
    path, logs = tmp_path / "train_log.txt", []
    for more in (0, 1):
        epochs = (1, 90 + more, 8, 5, 70), (2, 180, 4 + more, 3, 30)
        path.write_text("".join(text.format(*epoch) for epoch in epochs))
        logs.append(curves.read_log(path))
    return {"LiGRU": logs}


def points(axes):
    return [line.get_xydata().tolist() for line in axes.get_lines()]


def test_losses_are_drawn_by_epoch(two_seeds):
    axes = curves.losses(two_seeds)
    assert points(axes) == [
        [[1, 8], [2, 4]],
        [[1, 5], [2, 3]],
        [[1, 8], [2, 5]],
        [[1, 5], [2, 3]],
    ]
    styles = [line.get_linestyle() for line in axes.get_lines()]
    assert styles == ["-", "--"] * 2
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "loss")
    (text,) = axes.get_legend().get_texts()
    assert text.get_text() == "LiGRU"


def test_errors_are_drawn_by_minute(two_seeds):
    axes = curves.error_by_time(two_seeds, "WER")
    assert points(axes) == [
        [[1.5, 70], [3, 30]],
        [[pytest.approx(91 / 60), 70], [3, 30]],
    ]
    assert axes.get_xlabel().startswith("minutes")
    assert axes.get_ylabel() == "WER % of the development set"


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
