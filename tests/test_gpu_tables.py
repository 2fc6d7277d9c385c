"""The pages' tables of the GPU suite's rows."""

import types

import pandas as pd

from benchmarks import gpu_tables
from benchmarks.gpu.table import HEADER
from benchmarks.rows import CASE


def row(**cells):
    case = dict.fromkeys(CASE, 1) | {"op": "layer", "mode": "train"}
    stamp = {"date": "d", "commit": "c", "command": "python -m benchmarks.gpu"}
    stamp |= {"device": "GPU A", "driver": "1", "torch": "2.11"}
    stamp |= {"run": "one"}
    measured = {"p50_ms": 2.0, "us_per_step": 5.0, "peak_mb": 7.0}
    case |= {"model": "LiGRU", "dtype": "bf16", "with_hx": "False"}
    return stamp | case | measured | {"impl": "cuda"} | cells


def test_ratios_are_of_the_same_device_and_shape():
    frame = pd.DataFrame(
        [
            row(p50_ms=9.0),  # an older one
            row(),
            row(op="scan", mode="infer", us_per_step=0.5),
            row(op="scan", mode="backward", us_per_step=0.75),
            row(op="scan", mode="gradients", us_per_step=1.25),
            row(model="LSTM", impl="torch", dtype="fp16", p50_ms=5.0),
            row(model="LSTM", impl="torch", dtype="bf16", p50_ms=6.0),
            row(model="LSTM", impl="torch", p50_ms=1.0, device="GPU B"),
            row(model="LSTM", impl="torch", p50_ms=1.0, hidden=2),
            row(impl="speechbrain", p50_ms=50.0),
            row(dtype="fp32", p50_ms=4.0),
            row(model="LSTM", impl="torch", dtype="fp32", p50_ms=12.0),
        ]
    )
    text = gpu_tables.layers(types.SimpleNamespace(gpu=frame))
    first, other = text.split("GPU B, driver 1")
    assert first.startswith("GPU A, driver 1, torch 2.11; rows of these")
    assert "- c, d: `python -m benchmarks.gpu`\n" in first
    lines = [
        dict(zip(HEADER, line.strip("| ").split(" | ")))
        for line in first.splitlines()
        if line.startswith("| LiGRU")
    ]
    assert [(x["type"], x["train ms"]) for x in lines] == [
        ("bf16", "2.000"), ("fp32", "4.000"),
    ]  # fmt: skip
    assert (lines[0]["fwd us"], lines[0]["bwd us"]) == ("0.50", "0.75")
    assert (lines[0]["LSTM"], lines[0]["eager"]) == ("2.50", "25.00")
    assert lines[0]["grads us"] == "1.25"
    assert lines[1]["LSTM"] == "3.00"  # exact against exact
    assert "LiGRU" not in other


def test_ratios_are_of_one_process():
    """Each backend's LSTM ran beside it; SpeechBrain's layer has another."""
    frame = pd.DataFrame(
        [
            row(run="proven", model="LSTM", impl="torch", p50_ms=1.0),
            row(run="proven", impl="speechbrain", p50_ms=50.0),
            row(run="a", model="LSTM", impl="torch", p50_ms=6.0),
            row(run="a"),
            row(run="b", model="LSTM", impl="torch", p50_ms=3.0),
            row(run="b", impl="triton"),
        ]
    )
    text = gpu_tables.layers(types.SimpleNamespace(gpu=frame))
    lines = [
        dict(zip(HEADER, line.strip("| ").split(" | ")))
        for line in text.splitlines()
        if line.startswith("| LiGRU")
    ]
    assert {x["impl"]: (x["LSTM"], x["eager"]) for x in lines} == {
        "cuda": ("3.00", "25.00"), "triton": ("1.50", "25.00"),
    }  # fmt: skip


def test_microbenchmarks():
    cells = row(name="one hop through L2", value=0.75, unit="us")
    frame = pd.DataFrame([cells | {"value": 3.0}, cells])
    text = gpu_tables.micro(types.SimpleNamespace(micro=frame))
    assert text.endswith("| one hop through L2 | 0.75 | us |")
    assert "3" not in text.splitlines()[-1]


def test_no_gpu_yet():
    none = pd.DataFrame()
    data = types.SimpleNamespace(gpu=none, micro=none)
    assert gpu_tables.layers(data) == gpu_tables.micro(data) == "No rows yet."
