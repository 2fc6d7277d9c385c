"""The tables of docs/investigation.md."""

import types

import pandas as pd
import pytest

from benchmarks import technology


def test_lines_of_a_technology_are_counted():
    table = technology.lines(None)
    assert table.count("\n") == 1 + len(technology.SOURCES)
    counts = [int(row.split("|")[3]) for row in table.splitlines()[2:]]
    assert min(counts) >= 100 and all(c % technology.ROUND == 0 for c in counts)


def test_every_file_of_a_backend_is_counted_once():
    found = [
        path
        for root, patterns in technology.SOURCES.values()
        for pattern in patterns
        for path in root.glob(pattern)
        if path.is_file()
    ]
    assert len(found) == len(set(found))
    code = set((technology.PACKAGE / "backends").glob("*/**/*.py"))
    assert code and code <= set(found)


def test_a_source_that_is_gone_is_an_error(monkeypatch):
    gone = {"gone": (technology.PACKAGE, ["backends/no_such_file.py"])}
    monkeypatch.setattr(technology, "SOURCES", gone)
    with pytest.raises(ValueError, match="gone: no files"):
        technology.lines(None)


def test_steps_on_a_gpu_come_from_its_rows():
    row = dict(
        device="GPU A", driver="1", impl="triton", model="LiGRU", op="scan",
        directions=2, layers=1, features=512, hidden=512, batch=8, steps=1000,
        dtype="bf16", mode="infer", p50_ms=2.0,
    )  # fmt: skip
    frame = pd.DataFrame(
        [
            row,
            {**row, "p50_ms": 3.0},
            {**row, "device": "a CPU", "driver": ""},
            {**row, "impl": "cudnn-graph", "p50_ms": 4.5},
        ]
    )
    table = technology.steps(types.SimpleNamespace(gpu=frame)).splitlines()
    assert [line.split(" | ")[5:] for line in table[2:]] == [
        ["triton", "3 |"], ["cudnn-graph", "4.5 |"],
    ]  # fmt: skip
    none = types.SimpleNamespace(gpu=frame[frame["driver"] == ""])
    assert technology.steps(none) == "No rows yet."
