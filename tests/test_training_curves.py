"""The figures of trainings that documents show, and the logs they need."""

from result_rows import rows_file

from benchmarks import recipes, training_curves
from benchmarks.rows import load

LINE = (
    "epoch: {}, lr: 1e-03, elapsed s: {} - train loss: 3, train s: 6 - "
    "valid loss: 2, valid WER: {}\n"
)


def log(folder, *epochs):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [LINE.format(n, *at) for n, at in enumerate(epochs, 1)]
    (folder / "train_log.txt").write_text("".join(lines))


def rows(tmp_path, *names):
    command = "python train.py a.yaml --output_folder ../"
    path = rows_file(
        tmp_path / "rows.csv",
        rnn=[name.split("-")[0] for name in names],
        seed=[1] * len(names),
        threads=[1] * len(names),
        wer=[9] * len(names),
        epoch_s=[3] * len(names),
        command=[command + name for name in names],
    )
    return load(path)


def test_error_of_each_system_by_minutes(tmp_path):
    names = ("LiGRU-a-1", "LSTM-b-1", "GRU-c-1")
    log(tmp_path / names[0], (60, 90), (120, 45))
    log(tmp_path / names[1], (240, 80))
    found = training_curves.figures(rows(tmp_path, *names), tmp_path)
    (figure,) = found.values()
    (axes,) = figure.axes
    shown = {
        line.get_label(): line.get_xydata().tolist() for line in axes.lines
    }
    # The third system's log was not kept.
    assert shown == {
        "LiGRU, numba": [[1, 90], [2, 45]],
        "LSTM, numba": [[4, 80]],
    }


def test_no_figure_of_one_system(tmp_path):
    log(tmp_path / "LiGRU-a-1", (60, 90))
    found = rows(tmp_path, "LiGRU-a-1", "LSTM-b-1")
    assert training_curves.figures(found, tmp_path) == {}
    assert training_curves.figures(found, tmp_path / "nowhere") == {}


def test_logs_are_kept_beside_recorded_rows(tmp_path):
    log(tmp_path / "out" / "LiGRU-a-1", (60, 90))
    recorded = tmp_path / "results" / "rows.csv"
    recipes.keep_log(tmp_path / "out" / "LiGRU-a-1", recorded)
    kept = recorded.with_name("trainings") / "LiGRU-a-1" / "train_log.txt"
    assert "valid WER: 90" in kept.read_text()


def test_logs_are_not_kept_twice(tmp_path):
    log(tmp_path / "LiGRU-a-1", (60, 90))
    recipes.keep_log(tmp_path / "LiGRU-a-1", tmp_path / "results.csv")
    recipes.keep_log(tmp_path / "LSTM-b-1", tmp_path / "x" / "results.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["LiGRU-a-1"]
