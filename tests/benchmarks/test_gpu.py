"""The GPU's suite on a CPU: GPU time is rare, so nothing may break there."""

import contextlib
import itertools
import shlex
import time
import types
from random import Random

import pytest
import stand_ins
import torch

from benchmarks import gpu
from speechbrain_ligru_fast.backends import auto, child, loading, trial
from speechbrain_ligru_fast.training.results import read_rows
from speechbrain_ligru_fast.verify import layers


@pytest.fixture(autouse=True)
def here(monkeypatch):
    stand_ins.run_here(monkeypatch)


def run(folder, *more):
    """Exit status, rows of checks and of figures."""
    words = ["--out", str(folder), "--dry-run", "--seconds", "0"]
    status = gpu.main([*words, *more])
    files = (folder / "checks.csv", folder / "gpu.csv")
    return status, *(read_rows(f)[1] if f.exists() else [] for f in files)


@pytest.fixture
def stand_in(monkeypatch):
    """What is right stands for the CUDA backend."""
    genuine = loading.load
    right = stand_ins.MODULES["right"]
    monkeypatch.setattr(
        loading, "load", lambda n: right if n == "cuda" else genuine(n)
    )
    monkeypatch.setattr(auto, "TRIED_ON", {"cuda": (), "reference": ()})


def test_every_row(stand_in, tmp_path, monkeypatch, capsys):
    """All layers and precisions."""
    status, checks, rows = run(tmp_path, "--backends", "cuda", "reference")
    assert status == 0, capsys.readouterr().out
    assert {row["backend"] for row in checks} == {"cuda", "reference"}
    assert {row["verdict"] for row in checks} == {"right"}
    assert {row["dtype"] for row in rows} == set(layers.PRECISIONS)
    timed = [row for row in rows if row["p50_ms"]]
    assert {row["layer"] for row in timed} >= {
        "LiGRU cuda", "SLiGRU cuda", "LiGRU cuda-recompute",
        "LiGRU speechbrain", "LiGRU speechbrain-jit",
        "LiGRU speechbrain-linear", "LSTM torch", "LSTM torch-parameters",
        "GRU torch", "GRU torch-parameters",
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
    every = list(layers.PRECISIONS)
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


def turns(found, name, way, *times):
    """As a child says them."""
    child._note(found, name, verdict="right", infer_mb="")
    for number, ms in enumerate(times):
        child._note(found, name, turn=(way, number, ms))


@pytest.mark.parametrize("error", [child.Ended, SystemExit, KeyboardInterrupt])
def test_what_came_before_an_end_is_written(tmp_path, monkeypatch, error):
    """Medians of the turns; whoever ends the child or this program."""
    shape = gpu.TINY, "bf16", True
    pieces = [("check", gpu.Kind(8, 4)), ("time", *shape)]

    def end(found, path, names, *_):
        way = "forward" if "prover" in path else "infer"
        turns(found, names[0], way, 1.2, 9.0, 1.8)
        turns(found, names[1], way, 2.4, 18.0)
        child._note(found, names[-1], verdict="hung", why="150 s")
        raise error("now")

    monkeypatch.setattr(child, "run", end)
    for piece in pieces:
        monkeypatch.setattr(gpu, "pieces", lambda *_, p=piece: [p])
        with contextlib.suppress(error):
            run(tmp_path, "--commit", "a")
    checks, rows = (
        read_rows(tmp_path / f)[1] for f in ("checks.csv", "gpu.csv")
    )
    # Microseconds of one of a dozen steps, and of a layer's six.
    assert [r["forward_us"] for r in checks] == ["150.0", "850.0", ""]
    assert [r["us_per_step"] for r in rows] == ["300.0", "1700.0", ""]
    assert [r["ratio_p50"] for r in rows] == ["1.0", "2.0", ""]
    assert [r["turns"] for r in rows] == ["3", "2", ""]
    assert [r["verdict"] for r in rows] == ["", "", "hung"]
    done = tmp_path / gpu.DONE
    assert not done.exists() or "done" not in {
        row["state"] for row in read_rows(done)[1]
    }
    # What hung is not tried again in this piece.
    asked = []
    monkeypatch.setattr(
        child, "run", lambda f, p, names, *_: asked.extend(names)
    )
    run(tmp_path, "--commit", "a")
    assert rows[0]["layer"] in asked and rows[-1]["layer"] not in asked


@pytest.mark.parametrize("seed", range(2))
def test_each_call_ends_in_time_and_all_is_done(tmp_path, monkeypatch, seed):
    """Whatever a piece costs, in the order of what matters.

    A clock that stands still while nothing runs; pieces take from a second to
    longer than a call.
    """
    random = Random(seed)
    clock = types.SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(gpu, "time", clock)
    pieces = list(gpu.pieces(torch.device("cuda"), False))
    monkeypatch.setattr(gpu, "pieces", lambda *_: pieces)
    costs = {gpu._key(p): min(200, random.lognormvariate(3, 1)) for p in pieces}
    endless = [gpu._key(p) for p in random.sample(pieces[:9], 3)]
    costs |= dict.fromkeys(endless, 10**6)
    done = []

    def job(suite, *_):
        key = suite.stamp["piece"]
        if clock.now + costs[key] > suite.end:
            # The driver holds the child.
            clock.now = suite.end + child.LEAVING
            raise child.Ended("time is over")
        clock.now += costs[key]
        done.append(key)
        yield from ()

    for what in ("check", "time", "graph"):
        monkeypatch.setattr(gpu.Suite, what, job)
    calls = 0
    while set(done) | {*endless} < costs.keys() or not calls:
        begin, before = clock.now, len(done)
        run(tmp_path, "--commit", "a")
        assert clock.now - begin <= 9 * 60
        # Of the endless at least one a call is found to be that.
        assert len(done) > before or calls < 3
        calls += 1
    assert len(done) == len(set(done))
    assert done == [key for key in costs if key in done]


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


def test_bad_words_are_refused_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (tmp_path / "file").touch()
    for words, said in (
        (["--out", str(tmp_path)], "finds no GPU here; --dry-run"),
        (["--out", str(tmp_path / "file"), "--dry-run"], "--out: results_csv"),
    ):
        with pytest.raises(SystemExit):
            gpu.main(words)
        assert said in capsys.readouterr().err


def test_the_time_is_limited(tmp_path, capsys):
    status, checks, rows = run(tmp_path, "--minutes", "0")
    assert status == 0 and not checks and not rows
    assert "the same command goes on" in capsys.readouterr().out


@pytest.mark.parametrize("stale", [False, True])
def test_a_graph_that_does_not_replay_is_found(
    stand_in, stale, monkeypatch, tmp_path
):
    """A stand-in of torch.cuda: its graph runs the scan, or does nothing."""
    made, genuine = [], trial.forward

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
    monkeypatch.setattr(trial, "forward", forward)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", contextlib.nullcontext)
    monkeypatch.setattr(gpu, "pieces", lambda *_: [("graph",)])
    status, (row,), _ = run(tmp_path)
    assert (row["backend"], row["kind"]) == ("cuda", "CUDA graph")
    assert row["verdict"] == ("wrong" if stale else "right")
    assert status == stale and "turns" not in row


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
    assert layers._peak(lambda: time.monotonic(), torch.device("cuda")) == 2
