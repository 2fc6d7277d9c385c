"""The GPU suite's dry run: its whole path on a CPU."""

import csv
import os
import pathlib
import shlex
import subprocess
import sys
import time
import zipfile
from dataclasses import replace

import cuda_shim
import pytest
import torch

from benchmarks.gpu import __main__ as suite
from benchmarks.gpu import (
    cases,
    checks,
    child,
    job,
    layer,
    measure,
    processes,
    sanitizer,
    scans,
    table,
    verdicts,
)
from benchmarks.gpu.suite import Suite


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Fewer and smaller scans than the dry run's own, and no rivals."""
    plan = cases.DRY
    pair = tuple(
        case
        for case in plan.cases
        if case.model in ("LSTM", "LiGRU") and case.steps > 1
    )
    fewer = dict(options=plan.options[:2], cases=pair, slow=pair, first=2)
    monkeypatch.setattr(cases, "DRY", replace(plan, **fewer))
    monkeypatch.setattr(table, "RIVALS", ())


@pytest.fixture
def inside(monkeypatch):
    """Children's work is done in this process, which tests can change."""

    def run(command, seconds, **_):
        return child.main(command[-1:]), None

    monkeypatch.setattr(processes, "run", run)


def run(tmp_path, *more):
    """Exit status, rows and notes."""
    arguments = ["--out", str(tmp_path), "--dry-run", "--seconds", "0"]
    status = suite.main([*arguments, "--seed", "1", *more])
    rows = []
    if (tmp_path / "gpu.csv").exists():
        with (tmp_path / "gpu.csv").open() as file:
            rows = list(csv.DictReader(file))
    return status, rows, (tmp_path / "checks.txt").read_text()


def implementations(rows):
    """Names of what has rows."""
    return {row["impl"] for row in rows}


def test_dry_run(tmp_path):
    status, rows, notes = run(tmp_path, "--backends", "reference", "cuda")
    assert status == 0, notes
    assert "not here: backend 'cuda' can't run on cpu" in notes
    assert "reference: small: passed, 5 runs, 0 failures" in notes
    assert "reference: options: passed, 6 runs, 0 failures" in notes
    assert "reference: recompute: passed, 2 runs, 0 failures" in notes
    assert "microbenchmarks compile: " in notes
    assert {row["model"] for row in rows} == {"LiGRU", "LSTM", "GRU"}
    assert all(float(row["p50_ms"]) > 0 for row in rows)
    assert "\nLiGRU  16  2  2  6  bf16  reference" in notes
    # A process each, with the yardsticks beside what it times; the first one
    # ran before the checks.
    names = list(dict.fromkeys(row["run"] for row in rows))
    found = [
        implementations(row for row in rows if row["run"] == name)
        for name in names
    ]
    assert found[0] == {"torch", "speechbrain", "speechbrain-jit"}
    assert found[1] == {"torch", "reference"}


def test_what_dies_or_hangs_costs_nothing_else(tmp_path, monkeypatch):
    """Each breaks in its own process; other rows and notes survive."""
    stand_in = pathlib.Path(__file__).with_name("gpu_child.py")
    monkeypatch.setattr(job, "PROGRAM", (sys.executable, str(stand_in)))
    # A script's own folder is on the path, not the one it is started in.
    root = str(stand_in.parents[1])
    monkeypatch.setenv("PYTHONPATH", root, prepend=os.pathsep)
    monkeypatch.setattr(table, "RIVALS", ("cublas-graph",))
    right, killed, took = processes.run, [], []

    def limited(command, seconds, **options):
        if '"kind": "measure", "name": "numba"' in command[-1]:
            # Time to make a row, on a busy machine too: then it hangs.
            seconds = 5 + 2 * max(took)
        start = time.monotonic()
        status, output = right(command, seconds, **options)
        took.append(time.monotonic() - start)
        killed.append(status is None)
        return status, output

    monkeypatch.setattr(processes, "run", limited)
    backends = ("numba", "torchscript", "reference")
    status, rows, notes = run(tmp_path, "--backends", *backends)
    assert status == 1 and sum(killed) == 1
    assert "torchscript: check: died of SIGSEGV" in notes
    assert "torchscript: small: passed" in notes
    assert "torchscript: repeats: FAILED" in notes
    assert "torchscript: graph: NOT RUN" in notes
    assert "torchscript: NOT TIMED: repeats FAILED" in notes
    assert "numba: measure: did not end in time: killed" in notes
    assert "numba: NOT TIMED any more: its process ended" in notes
    assert "cublas-graph: rivals: died of SIGSEGV" in notes
    assert "microbenchmarks compile: " in notes
    found = implementations(rows)
    assert found == {
        "torch", "speechbrain", "speechbrain-jit", "numba", "reference",
    }  # fmt: skip
    # What it had made before it hung.
    assert {row["op"] for row in rows if row["impl"] == "numba"} == {"scan"}


def test_a_process_ends_with_all_that_it_started(tmp_path):
    """Its own child too, which would go on beside what is timed next."""
    path = tmp_path / "alive"
    loop = f"while true; do date +%s%N > {path}; sleep 0.05; done"
    command = ["sh", "-c", f"({loop}) & wait"]
    for seconds in (0.5, 2, 8, 32, 128):
        assert processes.run(command, seconds) == (None, None)
        # A busy machine may not even have started it.
        if path.exists():
            break
    before = path.read_text()
    time.sleep(0.3)
    assert path.read_text() == before
    status, output = processes.run(
        ["sh", "-c", "echo a; kill -SEGV $$"], 9,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert (status, output) == (-11, "a\n")


def test_rivals_in_the_dry_run(tmp_path, monkeypatch, inside):
    names = ("cublas-graph", "cudnn-graph", "triton-steps", "triton-launches")
    monkeypatch.setattr(table, "RIVALS", (*names, "speechbrain-graph"))
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    status, rows, notes = run(tmp_path, "--backends", "reference")
    assert status == 0, notes
    found = {row["impl"]: row for row in rows}
    for impl in ("cublas-graph", "speechbrain-graph"):
        assert float(found[impl]["p50_ms"]) > 0, notes
        assert f" {impl}" in notes, "no line in the table"
    # What needs a GPU says so; it is not left out in silence.
    for impl in ("cudnn-graph", "triton-steps", "triton-launches"):
        assert impl not in found and f"no {impl}: " in notes


def test_the_cuda_backend_in_the_simulation(tmp_path, monkeypatch, inside):
    plan = cases.DRY
    one = replace(plan, options=plan.options[:1], repeats=1)
    monkeypatch.setattr(cases, "DRY", one)
    monkeypatch.setattr(measure, "PRECISIONS", measure.PRECISIONS[:1])
    with cuda_shim.installed(cuda_shim.Shim()) as shim:
        status, rows, notes = run(tmp_path, "--backends", "cuda")
    assert status == 0, notes
    assert {plan.backward for plan in shim.used} == {False, True}
    again = [row for row in rows if row["impl"] == "cuda-recompute"]
    assert {(row["mode"], row["dtype"]) for row in again} == {("train", "bf16")}
    ours = [row for row in rows if row["impl"] == "cuda"]
    assert {row["op"] for row in ours} == {"scan", "layer"}
    modes = {"infer", "train", "backward", "gradients"}
    assert {row["mode"] for row in ours} == modes
    # A column for each of the recurrence's figures.
    line = next(x for x in notes.splitlines() if x.split()[6:7] == ["cuda"])
    assert all(float(cell) > 0 for cell in line.split()[7:11])


def test_a_wrong_backend_is_not_timed(tmp_path, monkeypatch, inside):
    right = scans.run

    def wrong(given, backend, device, *types):
        found = right(given, backend, device, *types)
        if backend == "torchscript":
            found["grad u"] = found["grad u"] * 1.01
        return found

    monkeypatch.setattr(checks.scans, "run", wrong)
    status, rows, notes = run(
        tmp_path, "--backends", "torchscript", "reference"
    )
    assert status == 1
    assert "FAILED torchscript" in notes and "FAILED reference" not in notes
    assert "torchscript: small: FAILED, 5 runs, 2 failures" in notes
    assert "torchscript: sizes: NOT RUN" in notes
    assert "torchscript: NOT TIMED: small FAILED" in notes
    assert "reference" in implementations(rows)
    assert "torchscript" not in implementations(rows)


def test_what_breaks_does_not_end_the_others(tmp_path, monkeypatch, inside):
    """A check that raises fails its backend, a layer has no row."""

    def broken(plan, backend, device, seed):
        if backend == "torchscript":
            raise AssertionError("an illegal address")
        yield []

    right = measure.build

    def build(impl, case, device):
        if impl == "speechbrain-jit":
            raise MemoryError("too large")
        return right(impl, case, device)

    monkeypatch.setitem(checks.CHECKS, "repeats", broken)
    monkeypatch.setattr(measure, "build", build)
    status, rows, notes = run(
        tmp_path, "--backends", "torchscript", "reference"
    )
    assert status == 1
    assert "torchscript: repeats: AssertionError('an illegal address')" in notes
    assert "no row: speechbrain-jit bf16" in notes and "too large" in notes
    found = implementations(rows)
    assert {"reference", "speechbrain", "torch"} <= found
    assert not found & {"torchscript", "speechbrain-jit"}


def test_a_spoilt_device_ends_its_process(tmp_path, monkeypatch, inside):
    """Nothing that follows on it would be a figure, or fail by itself."""

    def broken(impl, case, device):
        if impl == "torchscript":
            raise RuntimeError("an illegal address")
        return layer.build(impl, case, device)

    def expect_usable(device):
        raise RuntimeError("spoilt")

    monkeypatch.setattr(measure, "build", broken)
    monkeypatch.setattr(scans, "expect_usable", expect_usable)
    backends = ("torchscript", "reference")
    status, rows, notes = run(tmp_path, "--no-checks", "--backends", *backends)
    assert status == 1
    assert notes.count("an illegal address") == 1
    assert "torchscript: measure: RuntimeError('spoilt')" in notes
    assert "torchscript: measure: ended with status 1" in notes
    assert "reference" in implementations(rows)
    assert "torchscript" not in implementations(rows)


def test_only_what_has_passed_is_timed(tmp_path, monkeypatch, inside):
    """What it needs, that is: a variant can fail alone."""

    def failing(plan, backend, device, seed):
        yield [f"{backend}: wrong"]

    monkeypatch.setitem(checks.CHECKS, "recompute", failing)
    monkeypatch.setattr(measure, "PRECISIONS", measure.PRECISIONS[:1])
    status, rows, notes = run(tmp_path, "--backends", "numba")
    assert status == 1
    assert "FAILED numba: wrong" in notes
    assert "numba-recompute: NOT TIMED: recompute FAILED" in notes
    found = implementations(rows)
    assert "numba" in found and "numba-recompute" not in found


def test_rows_say_where_they_come_from(tmp_path, inside):
    arguments = ["--backends", "reference", "--commit", "abc", "--no-checks"]
    status, rows, notes = run(tmp_path, *arguments)
    assert status == 0 and "nothing checked: an earlier run has" in notes
    # Of a name's rows each pair was timed in one process.
    runs = {row["run"]: set() for row in rows}
    for row in rows:
        runs[row["run"]].add(row["impl"])
    assert all(len(name) == 12 and "torch" in runs[name] for name in runs)
    assert {"torch", "reference"} in runs.values()
    for row in rows:
        assert row["commit"] == "abc" and int(row["threads"]) > 0
        assert row["command"].startswith("python -m benchmarks.gpu --out ")
        assert not any(map(os.path.isabs, shlex.split(row["command"])))


def test_a_check_without_time_is_said(tmp_path, monkeypatch, inside):
    """Nothing that it would have judged is timed."""
    monkeypatch.setattr("benchmarks.gpu.suite.CHECKED", -1)
    status, rows, notes = run(tmp_path, "--backends", "reference")
    assert status == 1
    assert "reference: check: time is over, NOT RUN" in notes
    assert "reference: small: NOT RUN" in notes
    assert "reference: NOT TIMED: small NOT RUN" in notes
    assert "reference" not in implementations(rows)
    assert "speechbrain" in implementations(rows)


def test_the_sanitizers_turn(tmp_path, monkeypatch):
    """After a backend's first checks, and only if it computes at all."""
    started = []

    def start(self, kind, name, seconds, parts=(), **_):
        started.append((name, parts[0] if parts else kind))
        return verdict_of.get(name, 0), "run"

    def found(self, backend, stage, status, found):
        result = verdicts.FAILED if status else verdicts.PASSED
        self.verdicts[backend].update(dict.fromkeys(stage, result))

    monkeypatch.setattr(Suite, "start", start)
    monkeypatch.setattr(Suite, "_judge", found)
    monkeypatch.setattr(sanitizer, "installed", lambda: True)
    monkeypatch.setattr(
        sanitizer, "run", lambda *given: started.append(given[:2])
    )
    arguments = suite.parse(["--out", str(tmp_path), "--dry-run"])
    for verdict_of in ({}, {"cuda": -11}):
        started.clear()
        one = Suite(arguments)
        one.device, one.backends = "cuda", ["cuda", "triton"]
        one.verify()
        tools = [(tool, "cuda") for tool in sanitizer.TOOLS]
        cuda = [("cuda", "small"), *tools, ("cuda", "sizes")]
        triton = [("triton", "small"), ("triton", "sizes")]
        assert started == (cuda[:1] if verdict_of else cuda) + triton


def test_without_speechbrain_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(suite, "NEEDED", ("speechbrain", "not_installed_x"))
    assert suite.main(["--out", str(tmp_path / "x"), "--dry-run"]) == 2
    assert "not_installed_x: not installed; " in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_the_time_limit_holds(tmp_path, inside):
    status, rows, notes = run(
        tmp_path, "--backends", "reference", "--minutes", "0"
    )
    assert status == 1 and rows == []
    assert "yardsticks: measure: time is over, NOT RUN" in notes
    assert "reference: NOT TIMED: small NOT RUN" in notes


def test_figures_end_with_the_time(tmp_path):
    given = job.Job(
        "measure", "reference", 0, str(tmp_path), "cpu", 1, 0, {},
        ["reference"], "slow",
    )  # fmt: skip
    measure.work(child.Child(given))
    (row,) = csv.DictReader((tmp_path / "gpu.csv").open())
    assert row["impl"] == "torch"
    assert "reference: time is over" in (tmp_path / "checks.txt").read_text()


def test_wheels_are_put_on_the_path(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(suite.sys.path))
    monkeypatch.setenv("PYTHONPATH", "before")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with pytest.raises(SystemExit):
        suite.parse(["--out", "x", "--wheels", str(wheels)])
    with zipfile.ZipFile(wheels / "a_b-1-py3-none-any.whl", "w") as archive:
        archive.writestr("only_in_a_wheel.py", "value = 3\n")
    arguments = suite.parse(["--out", "x", "--wheels", str(wheels)])
    suite.use_wheels(arguments.wheels, str(tmp_path / "site"))
    import only_in_a_wheel

    assert only_in_a_wheel.value == 3
    assert suite.os.environ["PYTHONPATH"].startswith("before:")
