"""The times before and after the proposal of a linear backward."""

import pytest
import torch
from speechbrain.nnet import RNN

from benchmarks import linear_backward, report
from speechbrain_ligru_fast.asr.results import read_rows

SMALL = ["--hidden", "4", "--steps", "5", "7", "--threads", "1"]


def test_rows_and_their_table(tmp_path, capsys):
    path = tmp_path / "benchmarks" / "results" / "upstream.csv"
    words = [*SMALL, "--rounds", "2", "--out", str(path)]
    assert linear_backward.main(words) == 0
    rows = read_rows(path)[1]
    assert [(row["model"], row["steps"]) for row in rows] == [
        (model, steps) for model in ("LiGRU", "SLiGRU") for steps in "57"
    ]
    assert all(float(row["before_p50_ms"]) > 0 for row in rows)
    table = report.TABLES["linear-backward"](report.read(tmp_path))
    for row in rows:
        ratio = float(row["before_p50_ms"]) / float(row["after_p50_ms"])
        assert f"| {row['steps']} |" in table
        assert f"{ratio:.2f}x |" in table
    assert rows[0]["command"] in table


def test_another_result_is_not_timed(tmp_path, monkeypatch, capsys):
    module = linear_backward.edited()
    monkeypatch.setattr(module.LiGRU_Layer, "_ligru_cell", wrong_cell)
    monkeypatch.setattr(linear_backward, "edited", lambda: module)
    path = tmp_path / "upstream.csv"
    assert linear_backward.main([*SMALL, "--out", str(path)]) == 1
    assert "numbers differ" in capsys.readouterr().out
    assert not path.exists()


def wrong_cell(layer, w, h):
    return RNN.LiGRU_Layer._ligru_cell(layer, w, h) * (1 + 1e-6)


def test_the_edit_is_another_loop():
    assert linear_backward.edited().LiGRU_Layer is not RNN.LiGRU_Layer
    step = linear_backward.Step(linear_backward.edited(), "LiGRU", 3, 4)
    graph, names = [step().grad_fn], set()
    torch.manual_seed(0)
    while graph:
        node = graph.pop()
        names.add(node.name())
        graph += [parent for parent, _ in node.next_functions if parent]
    assert "UnbindBackward0" in names
    assert "SelectBackward0" not in names


def test_bad_sizes_are_refused(capsys):
    with pytest.raises(SystemExit):
        linear_backward.main(["--steps", "5", "0"])
    assert "--steps: got 0" in capsys.readouterr().err


def test_an_unreadable_result_file_is_refused_before_any_work(
    tmp_path, monkeypatch
):
    path = tmp_path / "upstream.csv"
    path.write_text("date,date\n1,2\n")
    monkeypatch.setattr(
        linear_backward, "measure", lambda *_: pytest.fail("was measured")
    )
    with pytest.raises(ValueError, match="date"):
        linear_backward.main([*SMALL, "--out", str(path)])
    assert path.read_text() == "date,date\n1,2\n"
