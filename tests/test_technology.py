"""The tables of docs/investigation.md."""

import types

import pandas as pd
import pytest
import torch

from benchmarks import technology
from speechbrain_ligru_fast import ligru_scan


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


def test_a_gru_with_its_reset_gate_open_is_a_tanh_ligru():
    """What docs/investigation.md says of cuDNN's RNN API."""
    hidden, inputs = 5, 3
    g = torch.Generator().manual_seed(2)

    def draw(*shape):
        return torch.randn(shape, generator=g, dtype=torch.float64)

    x, h0 = draw(2, 9, inputs), draw(2, hidden)
    w, u = draw(2 * hidden, inputs), draw(2 * hidden, hidden)
    bias = draw(2 * hidden)
    x.requires_grad_()
    want = ligru_scan(
        x @ w.T + bias, u, h0, nonlinearity="tanh", backend="reference"
    )
    (want_grad,) = torch.autograd.grad(want.square().sum(), x)
    gru = torch.nn.GRU(inputs, hidden, batch_first=True).double()
    # torch's order is reset, update, new; ours candidate, update gate.
    for name, value in (("weight_ih_l0", w), ("weight_hh_l0", u)):
        candidate, update = value.chunk(2)
        closed = torch.zeros_like(candidate)
        stacked = torch.cat([closed, update, candidate])
        getattr(gru, name).data.copy_(stacked)
    candidate, update = bias.chunk(2)
    opened = torch.full_like(candidate, 100.0)
    gru.bias_ih_l0.data.copy_(torch.cat([opened, update, candidate]))
    gru.bias_hh_l0.data.zero_()
    got, _ = gru(x, h0[None])
    (got_grad,) = torch.autograd.grad(got.square().sum(), x)
    assert torch.allclose(got, want, atol=1e-12)
    assert torch.allclose(got_grad, want_grad, atol=1e-12)
