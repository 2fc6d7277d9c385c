"""The table of result rows."""

from speechbrain_ligru_fast.asr import report
from speechbrain_ligru_fast.training.results import append_row


def test_report(tmp_path, capsys):
    path = tmp_path / "rows.csv"
    append_row(path, {"rnn": "LiGRU", "per": 20.5, "wer": ""})
    append_row(path, {"rnn": "LSTM", "per": 9, "wer": ""})
    assert report.main([str(path)]) == 0
    assert capsys.readouterr().out == (
        "layer  PER %\nLiGRU   20.5\nLSTM       9\n"
    )
    assert report.main([str(tmp_path / "none.csv")]) == 1
    assert "none.csv" in capsys.readouterr().err
