"""The loop's rate: of known times, and in rows."""

import pytest
import torch

from speechbrain_ligru_fast.backends.turns import TURN
from speechbrain_ligru_fast.training.results import read_rows
from tools import rate


def test_rates_are_of_the_recurrent_products(monkeypatch):
    """1 ms each: twice the operations, and the ratio is to the best."""
    monkeypatch.setattr(
        rate, "take_turns", lambda calls, seconds: {n: [1.0] for n in calls}
    )
    rows = {r["what"]: r for r in rate.measure(0, "SLiGRU", "fp32", 16, 2, 5)}
    (first, *_), loop = rows.values(), rows["backward"]
    # Rows x 2H x H, a product and a sum each; two directions.
    assert first["gflops_p50"] == round(2 * 10 * 32 * 16 / 1e6, 1)
    assert loop["ratio_p50"] == 2 and first["ratio_p50"] == 1


@pytest.mark.parametrize("dtype", rate.DTYPES)
def test_rows(dtype, tmp_path, monkeypatch):
    monkeypatch.setitem(TURN, "cpu", 0)
    threads, out = torch.get_num_threads(), tmp_path / "rate.csv"
    words = ["--dtypes", dtype, "--hidden", "16", "--batch", "2", "--steps"]
    try:
        rate.main([*words, "5", "--seconds", "0", "--out", str(out)])
    finally:
        torch.set_num_threads(threads)
    rows = read_rows(out)[1]
    assert {"forward", "backward"} < {row["what"] for row in rows}
    assert all(float(row["gflops_p80"]) >= 0 for row in rows)
