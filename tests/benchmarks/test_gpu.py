"""A GPU's verification and measurement, on a CPU.

GPU time is rare: what breaks there may cost nothing that is recorded.
"""

import contextlib
import csv
import functools
import json
import os
import shlex
import subprocess
import sys
import time

import cuda_shim
import pytest
import torch

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import checks, measure
from speechbrain_ligru_fast.layers import ligru

# A job's process that breaks: torchscript's first check dies, and numba's
# figures never end.
STAND_IN = """
import csv, fcntl, json, os, pathlib, signal, sys, time

job = json.loads(sys.argv[-1])
folder = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])

def append(name, row):
    row = job["stamp"] | row
    with open(folder / name, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        writer = csv.DictWriter(file, row)
        os.fstat(file.fileno()).st_size or writer.writeheader()
        writer.writerow(row)

if job["kind"] == "check":
    for name in ("small", "layers", "sizes", "options", "graph"):
        row = {"backend": job["name"], "check": name, "verdict": "BEGUN"}
        append("checks.csv", row)
        if job["name"] == "torchscript" and name == "layers":
            os.kill(os.getpid(), signal.SIGSEGV)
        row["verdict"] = "passed"
        append("checks.csv", row)
else:
    row = dict.fromkeys("features directions batch steps hidden".split(), 2)
    row |= {"model": "LiGRU", "impl": job["name"], "p50_ms": 1}
    row |= {"dtype": "bf16", "mode": "train"}
    append("gpu.csv", row)
    if job["name"] == "numba":
        (folder / "hangs").touch()
        time.sleep(10**6)
"""


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A few scans, layers and types."""
    monkeypatch.setitem(checks.SIZES["cpu"], "every", 24)
    monkeypatch.setattr(checks, "RUNS", 2)
    monkeypatch.setattr(measure, "WARMUPS", 1)
    monkeypatch.setattr(measure, "LEAST_ROUNDS", 1)


@pytest.fixture
def inside(monkeypatch):
    """Jobs are done in this process, which tests can change."""

    def guarded(commands, seconds):
        return [gpu.main(words[len(gpu.PROGRAM) :]) for words in commands]

    monkeypatch.setattr(gpu, "guarded", guarded)


def rows_of(path):
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(file))


def run(folder, *more):
    """Exit status, rows and notes."""
    words = ["--out", str(folder), "--dry-run", "--seconds", "0", "--seed", "1"]
    status = gpu.main([*words, *more])
    notes = (folder / "checks.txt").read_text()
    return status, rows_of(folder / "gpu.csv"), notes


def implementations(rows):
    return {row["impl"] for row in rows}


def test_each_job_has_a_process(tmp_path):
    """The real ones; what can't run here is said, and is no failure."""
    status, rows, notes = run(tmp_path, "--backends", "cuda")
    assert status == 0, notes
    assert "not here: backend 'cuda' can't run on cpu" in notes
    assert implementations(rows) == {"torch", "speechbrain", "speechbrain-jit"}
    assert {row["model"] for row in rows} == {"LiGRU", "SLiGRU", "LSTM", "GRU"}
    assert {row["mode"] for row in rows} == {"infer", "train"}
    assert all(float(row["p50_ms"]) > 0 for row in rows)
    assert "\nSLiGRU speechbrain-jit" in notes


def test_what_dies_or_hangs_costs_nothing_else(tmp_path, monkeypatch):
    class Popen(subprocess.Popen):
        """A process whose time is over as soon as it hangs."""

        def wait(self, timeout=None):
            hangs = '"measure", "name": "numba"' in self.args[-1]
            while hangs and self.poll() is None:
                if (tmp_path / "hangs").exists():
                    raise subprocess.TimeoutExpired(self.args, timeout)
                time.sleep(0.05)
            return super().wait()

    stand_in = tmp_path / "stand_in.py"
    stand_in.write_text(STAND_IN)
    monkeypatch.setattr(gpu, "PROGRAM", (sys.executable, str(stand_in)))
    monkeypatch.setenv("PYTHONPATH", str(gpu.ROOT), prepend=os.pathsep)
    monkeypatch.setattr(gpu.subprocess, "Popen", Popen)
    backends = ("torchscript", "numba", "reference")
    status, rows, notes = run(tmp_path, "--backends", *backends)
    assert status == 1
    assert "torchscript: check: status -11" in notes
    assert "torchscript: layers: BEGUN" in notes
    assert "torchscript: options: NOT RUN" in notes
    assert "torchscript: NOT TIMED: layers BEGUN, sizes NOT RUN" in notes
    assert "numba: measure: killed" in notes
    assert notes.count("numba: measure: ") == 1
    # Also what it had made before it hung.
    assert implementations(rows) == {"speechbrain", "numba", "reference"}
    assert len(rows) == 3


def test_a_process_ends_with_all_that_it_started(tmp_path):
    """Its own child too, which would go on beside what is timed next."""
    path = tmp_path / "alive"
    loop = f"while true; do date +%s%N > {path}; sleep 0.05; done"
    for seconds in (0.5, 2, 8, 32, 128):
        command = ["sh", "-c", f"({loop}) & wait"]
        assert gpu.guarded([command, ["false"]], seconds) == [None, 1]
        # A busy machine may not even have started it.
        if path.exists():
            break
    before = path.read_text()
    time.sleep(0.3)
    assert path.read_text() == before
    assert gpu.guarded([["sh", "-c", "kill -SEGV $$"]], 99) == [-11]


def test_the_cuda_backend_in_the_simulation(tmp_path, monkeypatch, inside):
    monkeypatch.setattr(measure, "PRECISIONS", measure.PRECISIONS[:1])
    # Each kind of kernel takes g++ a second.
    monkeypatch.setattr(checks, "TYPES", checks.TYPES[:2])
    with cuda_shim.installed(cuda_shim.Shim()) as shim:
        status, rows, notes = run(tmp_path, "--backends", "cuda")
    assert status == 0, notes
    assert {plan.backward for plan in shim.used} == {False, True}
    verdicts = rows_of(tmp_path / "checks.csv")
    passed = [row["check"] for row in verdicts if row["verdict"] == "passed"]
    assert passed == list(checks.CHECKS)
    counts = {row["check"]: row["runs"] for row in verdicts}
    assert counts == {
        "small": "7", "layers": "2", "sizes": "6", "options": "2", "graph": "0",
    }  # fmt: skip
    again = [row for row in rows if row["impl"] == "cuda-recompute"]
    assert {(row["mode"], row["dtype"]) for row in again} == {("train", "bf16")}
    # The step's own way, which goes on from a state, is timed as well.
    step = [row for row in rows if row["steps"] == "1"]
    assert {row["with_hx"] for row in step} == {"True"}
    assert implementations(step) == {"torch", "cuda", "cuda-recompute", "auto"}
    for row in rows:
        assert row["layers"] == "1" and row["op"] == "layer"
        assert row["ratio_to"] in ("cuda", "speechbrain")
        own = row["impl"] == row["ratio_to"]
        assert float(row["ratio_p50"]) == 1 if own else row["ratio_p50"]
        assert row["python"] and row["torch"] and int(row["threads"]) > 0
        command = shlex.split(row["command"])
        assert command[:3] == ["python", "-m", "benchmarks.gpu"]
        assert not any(map(os.path.isabs, command))
    # What is compared was timed in one process.
    for name in {row["run"] for row in rows}:
        assert "torch" in implementations(r for r in rows if r["run"] == name)


def test_a_second_run_goes_on(tmp_path, monkeypatch, inside):
    """It repeats nothing of the same commit, and all of another."""
    monkeypatch.setattr(measure, "PRECISIONS", measure.PRECISIONS[:1])
    monkeypatch.setattr(measure, "prepared", lambda *_: int)
    seen = []
    figures = measure.figures

    def timed(shape, impls, *more):
        seen.append(tuple(impls))
        return figures(shape, impls, *more)

    monkeypatch.setattr(measure, "figures", timed)
    for name in checks.CHECKS:
        checked = functools.partial(checked_as, name, seen)
        monkeypatch.setitem(checks.CHECKS, name, checked)
    monkeypatch.setattr(gpu, "provenance", at_another_time(gpu.provenance))
    words = ["--backends", "reference", "--commit"]
    _, first, _ = run(tmp_path, *words, "abc")
    everything, stock = list(seen), ("speechbrain", "speechbrain-jit")
    assert everything == [*checks.CHECKS, *[stock] * 2, *[("reference",)] * 2]
    seen.clear()
    status, again, _ = run(tmp_path, *words, "abc")
    assert status == 0 and not seen and again == first
    # What follows is not known to be the same.
    for commit in ("abcd", "abc+", "abc+"):
        seen.clear()
        assert run(tmp_path, *words, commit)[0] == 0
        assert seen == everything


def checked_as(name, seen, *_):
    seen.append(name)
    return iter([[]])


def at_another_time(provenance):
    def later(*given):
        return provenance(*given) | {"date": str(time.monotonic_ns())}

    return later


def off(results):
    results["grad u"] = results["grad u"] * 1.5


def nothing(results):
    results["output"] = results["output"] * float("nan")


def racing(results):
    results["grad w"] *= 1 + 1e-9 * torch.rand(()).double()


def broken(results):
    raise RuntimeError("an illegal address")


@pytest.mark.parametrize(
    "fault, words",
    [
        (off, "grad u: error"),
        (nothing, "output: error nan"),
        (racing, "grad w: other bits in another run"),
        (broken, "RuntimeError('an illegal address')"),
    ],
)
def test_a_wrong_backend_is_not_timed(
    fault, words, tmp_path, monkeypatch, inside
):
    right = checks.run

    def wrong(given, backend, *more):
        found = right(given, backend, *more)
        if backend == "torchscript":
            fault(found)
        return found

    monkeypatch.setattr(checks, "run", wrong)
    monkeypatch.setattr(measure, "figures", lambda *_: iter([]))
    backends = ("torchscript", "reference")
    status, _, notes = run(tmp_path, "--backends", *backends)
    assert status == 1
    assert "FAILED torchscript: small: fp32/fp32" in notes and words in notes
    assert "check small, verdict FAILED, runs 3, failures 3" in notes
    assert "torchscript: sizes: NOT RUN" in notes
    assert "torchscript: NOT TIMED: small FAILED, layers NOT RUN" in notes
    assert "reference: " not in notes


def test_layers_that_are_wrong_are_found(monkeypatch):
    """One that does not heed the lengths, say."""
    forward = ligru.LiGRU.forward

    def without_lengths(self, x, hx=None, lengths=None):
        return forward(
            self, x, hx, lengths if self.backend == "reference" else None
        )

    def lines(backend):
        return list(checks.layers(backend, "cpu", torch.Generator()))

    assert lines("torchscript") == [[], []]
    monkeypatch.setattr(ligru.LiGRU, "forward", without_lengths)
    wrong = sum(lines("torchscript"), [])
    assert any(line.startswith("LiGRU: output: error") for line in wrong)


@pytest.mark.parametrize("spoilt", [False, True])
def test_what_cannot_run_has_no_row(spoilt, tmp_path, monkeypatch, inside):
    """The others have, unless its error has spoilt the device for all."""
    build = measure.layers.build

    def too_large(impl, case):
        if impl == "speechbrain-jit":
            raise MemoryError("too large")
        return build(impl, case)

    def synchronize(device):
        raise RuntimeError("an illegal address")

    monkeypatch.setattr(measure.layers, "build", too_large)
    if spoilt:
        monkeypatch.setattr(measure, "expect_usable", synchronize)
    status, rows, notes = run(tmp_path, "--backends", "cuda")
    failed = "no row: speechbrain-jit bf16 infer LiGRU-"
    assert failed in notes and "too large" in notes
    assert status == spoilt and notes.count("no row") == (1 if spoilt else 8)
    if spoilt:
        assert not rows and "speechbrain: measure: status 1" in notes
    else:
        assert implementations(rows) == {"torch", "speechbrain"}


def test_the_time_limit_holds(tmp_path, monkeypatch, inside):
    status, rows, notes = run(
        tmp_path, "--backends", "reference", "--minutes", "0"
    )
    assert status == 1 and rows == []
    assert "reference: check: time is over, NOT RUN" in notes
    assert "reference: NOT TIMED: small NOT RUN" in notes
    assert "speechbrain: measure: time is over, NOT RUN" in notes
    # Or while a job is at work.
    start = gpu.Suite.start
    monkeypatch.setattr(
        gpu.Suite, "start", lambda *x, **more: start(*x, until=0, **more)
    )
    status, rows, notes = run(tmp_path, "--backends", "reference")
    assert status == 1 and rows == []
    assert "small, verdict STOPPED, runs 0, failures 0" in notes
    assert "speechbrain: the first shapes' time is over" in notes


def test_a_check_ends_between_scans(tmp_path, monkeypatch):
    """At its time or a third failure; each failure is said at once."""
    args = gpu.parse(["--out", str(tmp_path), "--dry-run"])
    job = gpu.Job(args)
    job.name, job.stamp = "reference", {}

    def counting(*_):
        for i in range(9):
            yield [f"wrong {i}"] if i % 2 else []

    monkeypatch.setitem(checks.CHECKS, "sizes", counting)
    for looks, verdict, count, failed in (
        (0, "STOPPED", "0", "0"),
        (1, "STOPPED", "1", "0"),
        (2, "FAILED", "2", "1"),
        (99, "FAILED", "6", "3"),
    ):
        left = iter([1] * looks + [-1])
        monkeypatch.setattr(job, "left", lambda left=left: next(left))
        assert checks.verify("sizes", job) == verdict
        begun, row = rows_of(tmp_path / "checks.csv")[-2:]
        assert begun["verdict"] == checks.BEGUN
        assert (row["runs"], row["failures"]) == (count, failed)


def test_compute_sanitizer(tmp_path, monkeypatch, inside):
    """A stand-in for the tool, which finds nothing, something, no end."""
    args = gpu.parse(["--out", str(tmp_path / "out"), "--dry-run"])
    suite = gpu.Suite(args, ["--dry-run"])
    right = dict.fromkeys(checks.CHECKS, checks.PASSED)
    monkeypatch.setattr(suite, "verdicts", lambda _: right)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    started, done, statuses = [], gpu.guarded, iter([0, 0, 9, 9, None, None])

    def guarded(commands, seconds):
        started.extend(commands)
        return [next(statuses)]

    monkeypatch.setattr(gpu, "guarded", guarded)
    suite.watch()
    assert not started, "it is not installed"
    (tmp_path / "compute-sanitizer").touch(0o755)
    for words in ("nothing found", "racecheck.txt", "racecheck.txt"):
        suite.watch()
        notes = (tmp_path / "out" / "checks.txt").read_text().splitlines()
        assert notes[-1].startswith("racecheck: ") and words in notes[-1]
    assert [command[2] for command in started] == [*gpu.TOOLS] * 3
    # What it runs, here without it.
    command = started[0][started[0].index(gpu.PROGRAM[0]) :]
    command[-1] = json.dumps(json.loads(command[-1]) | {"name": "reference"})
    assert done([command], 0) == [0]


def test_calls_take_turns(monkeypatch):
    """A B B A: each round has every call twice, around the same middle."""
    calls = []
    monkeypatch.setattr(measure, "MOST_ROUNDS", 5)
    timed = measure.interleave(
        {name: lambda name=name: calls.append(name) for name in "abc"},
        60,
        "cpu",
    )
    assert [len(times) for times in timed.values()] == [10, 10, 10]
    rounds = [calls[i : i + 6] for i in range(0, 30, 6)]
    assert all(turn == turn[::-1] for turn in rounds)
    assert all(set(turn[:3]) == set("abc") for turn in rounds)
    assert len(set(map(tuple, rounds))) > 1


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
            assert log == ["record", "call", "record", "synchronize"]
            return 2.5

    monkeypatch.setattr(torch.cuda, "Event", Event)
    call = functools.partial(log.append, "call")
    assert measure.milliseconds(call, "cuda") == 2.5
    memory = {"memory_allocated": 2**20, "max_memory_allocated": 3 * 2**20}
    memory |= dict.fromkeys(["synchronize", "reset_peak_memory_stats"])
    for name, result in memory.items():
        monkeypatch.setattr(torch.cuda, name, lambda result=result: result)
    assert measure.peak(call, "cuda") == 2 and log[-1] == "call"
    measure.expect_usable("cuda")


@pytest.mark.parametrize("stale", [False, True])
def test_a_graph_that_does_not_replay_is_found(stale, monkeypatch):
    scan, made = checks.fast.ligru_scan, []

    def recorded(w, u, backend):
        made.append((scan(w, u, backend="reference"), w, u))
        return made[-1][0]

    class Graph:
        def replay(self):
            output, w, u = made[-1]
            w = w * 0 if stale else w
            output.copy_(scan(w, u, backend="reference"))

    monkeypatch.setattr(checks.fast, "ligru_scan", recorded)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", contextlib.nullcontext)
    found = list(checks.graph("cuda", "cpu", torch.Generator()))
    assert found == ([["another result"]] if stale else [[]])
    assert list(checks.graph("numba", "cpu", torch.Generator())) == []
