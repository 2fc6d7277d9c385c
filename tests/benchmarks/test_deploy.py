"""Rows of exported layers beside ONNX Runtime's own."""

import pytest

pytest.importorskip("onnxruntime", reason="the extra deploy is not installed")
pytest.importorskip("onnx")

from benchmarks import deploy  # noqa: E402
from speechbrain_ligru_fast.training.results import read_rows  # noqa: E402


def test_rows(tmp_path, monkeypatch):
    def ours(net, x, threads, folder, others):
        """What exports take seconds to make: the layer, and a wrong one."""
        for form, factor in (("right", 1), ("wrong", 1.5)):
            key = "here", type(net).__name__, form, "fp32", ""
            yield key, lambda factor=factor: factor * net(x)[0], None

    monkeypatch.setattr(deploy, "ours", ours)
    out = tmp_path / "rows.csv"
    sizes = "--hidden 16 --batch 2 --steps 5 --threads 1 --seconds 0".split()
    deploy.main([*sizes, "--out", str(out)])
    _, rows = read_rows(out)
    found = {(r["model"], r["form"], r["dtype"], r["same"]): r for r in rows}
    assert len(found) == len(rows) == 4 + 4
    lstm = found["LSTM", "LSTM node", "fp32", "units"]
    assert float(lstm["ratio_p50"]) == 1.0
    # Two directions of four gates with two biases each.
    weights = 4 * 2 * 4 * 16 * (16 + 16 + 2)
    # Beside them torch says where each node is from.
    assert 0 < float(lstm["size_mb"]) * 1e6 - weights < 20_000
    for model in ("LiGRU", "SLiGRU"):
        assert float(found[model, "right", "fp32", ""]["difference"]) == 0
        assert float(found[model, "wrong", "fp32", ""]["difference"]) == 0.5
