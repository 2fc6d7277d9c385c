"""The GPU's suite on a CPU: GPU time is rare, so nothing may break there."""

import contextlib
import itertools
import shlex
import time

import pytest
import stand_ins
import torch

from benchmarks import gpu
from speechbrain_ligru_fast import ligru_scan, verify
from speechbrain_ligru_fast.asr.results import read_rows
from speechbrain_ligru_fast.backends import auto, child, loading


@pytest.fixture(autouse=True)
def here(monkeypatch):
    stand_ins.run_here(monkeypatch)


def run(folder, *more):
    """Exit status, rows of checks and of figures."""
    words = ["--out", str(folder), "--dry-run", "--seconds", "0"]
    status = gpu.main([*words, *more])
    files = (folder / "checks.csv", folder / "gpu.csv")
    return status, *(read_rows(f)[1] if f.exists() else [] for f in files)


def test_every_row(tmp_path, monkeypatch, capsys):
    """All layers and precisions; a stand-in is the CUDA backend."""
    genuine = loading.load
    right = stand_ins.MODULES["right"]
    monkeypatch.setattr(
        loading, "load", lambda n: right if n == "cuda" else genuine(n)
    )
    monkeypatch.setattr(auto, "TRIED_ON", {"cuda": (), "reference": ()})
    status, checks, rows = run(tmp_path, "--backends", "cuda", "reference")
    assert status == 0, capsys.readouterr().out
    assert {row["backend"] for row in checks} == {"cuda", "reference"}
    assert {row["verdict"] for row in checks} == {"right"}
    assert {row["dtype"] for row in rows} == set(verify.PRECISIONS)
    timed = [row for row in rows if row["p50_ms"]]
    assert {row["layer"] for row in timed} >= {
        "LiGRU cuda", "SLiGRU cuda", "LiGRU cuda-recompute",
        "LiGRU speechbrain", "LiGRU speechbrain-jit",
        "LiGRU speechbrain-linear", "LSTM torch", "LSTM torch-parameters",
        "GRU torch", "GRU torch-parameters", "GRU pinned",
    }  # fmt: skip
    # What can't run has a row that says why: FlashRNN where there is none.
    for row in rows:
        assert row["p50_ms"] or row["why"], row
        if row["p50_ms"]:
            assert row["mode"] in ("infer", "train")
            own = row["layer"] == row["ratio_to"]
            assert float(row["ratio_p50"]) == 1 if own else row["ratio_p50"]
        assert shlex.split(row["command"])[:3] == [
            "python", "-m", "benchmarks.gpu"
        ]  # fmt: skip
    assert "LSTM torch-parameters" in capsys.readouterr().out


def test_a_second_run_goes_on(tmp_path, monkeypatch):
    """What the same commit has done whole is not done again."""
    seen, ends = [], itertools.count()

    def time_(suite, shape, precision, first):
        seen.append(precision)
        yield {"layer": "LiGRU cuda"}
        if precision == "fp16" and next(ends) == 0:
            raise child.Ended("time is over")
        yield {"layer": "LSTM torch"}

    monkeypatch.setattr(gpu.Suite, "time", time_)
    monkeypatch.setattr(gpu.Suite, "check", lambda *_: iter([]))
    every = list(verify.PRECISIONS)
    for commit, expected in (
        ("abc", every), ("abc", ["fp16"]), ("abc", []), ("abd", every),
        # Nobody knows what that was.
        ("abc+", every), ("abc+", every),
    ):  # fmt: skip
        seen.clear()
        _, _, rows = run(tmp_path, "--commit", commit)
        assert seen == expected
    # Of four times four pieces and one again; one broke off after a row.
    assert len(rows) == 2 * (4 * 4 + 1) - 1


def test_a_wrong_backend_is_not_timed(tmp_path, monkeypatch):
    genuine = loading.load
    off = stand_ins.MODULES["gradient"]
    monkeypatch.setattr(
        loading, "load", lambda n: off if n == "torchscript" else genuine(n)
    )
    timed = []
    monkeypatch.setattr(
        gpu.Suite, "time", lambda s, *_: timed.append(s.backends()) or iter([])
    )
    status, checks, _ = run(
        tmp_path, "--backends", "torchscript", "numba", "--commit", "a"
    )
    assert status == 1 and "torchscript" not in sum(timed, [])
    row = next(r for r in checks if r["backend"] == "torchscript")
    assert row["verdict"] == "wrong" and "grad of gates" in row["why"]
    # Nor by the next run.
    timed.clear()
    assert run(tmp_path, "--backends", "torchscript", "--commit", "a")[0] == 1
    assert "torchscript" not in sum(timed, [])


def test_the_time_is_limited(tmp_path, capsys):
    status, checks, rows = run(tmp_path, "--minutes", "0")
    assert status == 0 and not checks and not rows
    assert "the same command goes on" in capsys.readouterr().out


def test_a_pinned_gru_is_a_ligru_with_tanh():
    gru = gpu.PinnedGRU(5, 4, batch_first=True, bidirectional=False)
    x = torch.randn(3, 9, 5)
    own = dict(gru.named_parameters())
    # torch's z keeps the state, as ours does; the candidate is its third.
    z, n = slice(4, 8), slice(8, 12)
    order = [*range(8, 12), *range(4, 8)]
    bias = (own["bias_ih_l0"] + own["bias_hh_l0"])[order]
    w = x @ own["weight_ih_l0"][order].t() + bias
    u = torch.cat([own["weight_hh_l0"][n], own["weight_hh_l0"][z]])
    torch.testing.assert_close(gru(x)[0], ligru_scan(w, u, nonlinearity="tanh"))


@pytest.mark.parametrize("stale", [False, True])
def test_a_graph_that_does_not_replay_is_found(stale, monkeypatch):
    """A stand-in of torch.cuda: its graph runs the scan, or does nothing."""
    made, genuine = [], gpu.trial.forward

    def forward(module, spec, x, save):
        made.append((genuine(module, spec, x, save), x))
        return made[-1][0]

    class Graph:
        def replay(self):
            found, x = made[-1]
            if not stale:
                again = genuine(loading.load("reference"), KIND.spec, x, False)
                found[0].copy_(again[0])

    KIND = gpu.Kind(256, 16)
    monkeypatch.setattr(gpu.trial, "forward", forward)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", contextlib.nullcontext)
    said = []
    monkeypatch.setattr(child, "say", lambda **m: said.append(m))
    gpu.capture(["reference"], "cpu")
    assert said[-1]["verdict"] == ("wrong" if stale else "right")


def test_the_pieces_of_a_gpu():
    """The shape of the targets first; every precision; all in one list."""
    pieces = list(gpu.pieces(torch.device("cuda"), False))
    kinds = [p[1] for p in pieces if p[0] == "check"]
    assert len(kinds) == len(set(kinds)) == len(gpu.cases("cuda", True))
    first = next(p for p in pieces if p[0] == "time")
    assert first[1] == gpu.BASE and first[2] == "bf16"
    assert [p[0] for p in pieces].count("graph") == 1
    names = gpu.timed(gpu.BASE, "bf16", ["cuda", "torchscript"], True)
    assert names[0] == "LiGRU cuda" and len(set(names)) == len(names)
    assert "LSTM flashrnn" in gpu.timed(gpu.TINY, "bf16", ["cuda"], False)


def test_events_time_a_gpu(monkeypatch):
    """What a CPU does not reach: torch.cuda is a stand-in."""
    log = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            log.append("record")

        def synchronize(self):
            log.append("synchronize")

        def elapsed_time(self, end):
            return 5.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    from speechbrain_ligru_fast.backends.turns import _milliseconds

    found = _milliseconds(lambda: log.append("call"), 2, "cuda")
    assert found == 2.5
    assert log == ["record", "call", "call", "record", "synchronize"]
    memory = {"memory_allocated": 2**20, "max_memory_allocated": 3 * 2**20}
    memory |= dict.fromkeys(["synchronize", "reset_peak_memory_stats"])
    for name, result in memory.items():
        monkeypatch.setattr(torch.cuda, name, lambda _, r=result: r)
    assert verify._peak(lambda: time.monotonic(), torch.device("cuda")) == 2
