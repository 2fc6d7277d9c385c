"""The GPU suite's dry run: its whole path on a CPU."""

import csv
import functools
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

from benchmarks.cases import LIGRU_MODELS, Case
from benchmarks.gpu import __main__ as suite
from benchmarks.gpu import (
    cases,
    check,
    checks,
    child,
    clock,
    job,
    layer,
    measure,
    processes,
    rivals,
    sanitizer,
    scans,
    table,
    verdicts,
)
from benchmarks.gpu.suite import Suite
from speechbrain_ligru_fast import ops
from speechbrain_ligru_fast.backends import choose
from speechbrain_ligru_fast.spec import ScanSpec


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
    right, killed = processes.run, []

    def limited(command, seconds, **options):
        if '"kind": "measure", "name": "numba"' in command[-1]:
            seconds = 25
        status, output = right(command, seconds, **options)
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
    assert processes.run(command, 1) == (None, None)
    before = path.read_text()
    time.sleep(0.3)
    assert path.read_text() == before
    status, output = processes.run(
        ["sh", "-c", "echo a; kill -SEGV $$"], 9,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert (status, output) == (-11, "a\n")


def test_a_decoders_step_goes_on_from_a_state():
    """Timed with a state on every rival, and among the first cases."""
    steps = [case for case in cases.FULL.cases if case.steps == 1]
    assert steps and all(case.with_hx for case in steps)
    assert steps[0] in cases.FULL.cases[: cases.FULL.first]
    spec = ScanSpec()
    taken = choose("auto", "cpu", torch.float32, spec, 1).__name__
    taken = taken.rpartition(".")[2]
    for model in cases.MODELS:
        case = Case(model, 4, 4, 2, 1, with_hx=True)
        impls = measure.implementations(case, [taken], "cpu", None)
        # Beside the backend that it takes, and only there.
        assert ("auto" in impls) == (model in LIGRU_MODELS)
        other = measure.implementations(case, ["reference"], "cpu", None)
        assert taken != "reference" and "auto" not in other
        for impl in impls:
            built = layer.build(impl, case, "cpu").eval()
            outputs = [
                layer.training_step(built, case, "cpu", "infer", None)()
                for _ in range(2)
            ]
            assert outputs[0].shape == (2, 1, 4)
            assert not torch.equal(*outputs), "random states"


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


def test_a_rival_that_is_wrong_is_not_timed(monkeypatch):
    class Stale(rivals.CublasSteps):
        """Gives again what it gave the first time."""

        kept = None

        def __call__(self, w):
            if self.kept is None:
                self.kept = super().__call__(w).clone()
            return self.kept

    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(
        rivals,
        "RECURRENCES",
        {"right": (rivals.CublasSteps, True), "stale": (Stale, True)},
    )
    notes = []
    case = Case("LiGRU", 8, 8, 2, 2, directions=2)
    rows = [
        row["impl"]
        for name in rivals.RECURRENCES
        for row in rivals.recurrence(
            name, case, cases.DRY, "cpu", 1, clock.Clock("cpu", 0), notes.append
        )
    ]
    assert rows == ["right"]
    assert [line.split(": error")[0] for line in notes] == [
        "FAILED stale: call 1", "FAILED stale: call 2",
    ]  # fmt: skip


def test_compiling_needs_time():
    notes, none = [], clock.Clock("cpu", 0)
    case = Case("LiGRU", 8, 8, 2, 2)
    rows = rivals.layer(
        "speechbrain-compile", case, "cpu", none, notes.append, lambda: 10
    )
    assert list(rows) == []
    assert notes == ["no speechbrain-compile: no time to compile it"]


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


def test_what_needs_which_checks():
    passed = dict.fromkeys(checks.CHECKS, verdicts.PASSED)
    assert list(checks.CHECKS) == sum(map(list, verdicts.STAGES), [])
    assert verdicts.refusal(passed) is None
    for name in checks.CHECKS:
        failed = verdicts.refusal({**passed, name: verdicts.FAILED})
        unknown = verdicts.refusal({**passed, name: verdicts.NOT_RUN})
        stopped = verdicts.refusal({**passed, name: verdicts.STOPPED})
        needed = name in verdicts.NEEDED
        assert (unknown is not None) == (stopped is not None) == needed
        assert (failed is not None) == (name not in verdicts.ASIDE)
    assert "options" not in (*verdicts.NEEDED, *verdicts.ASIDE)


class Work:
    """A child whose time is over after some looks at the clock."""

    def __init__(self, looks, name="reference"):
        self.looks = looks
        self.job = job.Job("check", name, 0, ".", "cpu", 1, 0, {})
        self.notes, self.rows = [], []
        self.note = self.notes.append

    def left(self):
        self.looks -= 1
        return self.looks

    def row(self, name, cells):
        assert name == "checks.csv"
        self.rows.append(cells)


def test_a_check_ends_between_scans(monkeypatch):
    """At its time or a third failure; each failure is said at once."""
    seen = []

    def counting(plan, backend, device, seed):
        try:
            for i in range(9):
                seen.append(len(work.notes))
                yield [f"wrong {i}"] if i % 2 else []
        finally:
            seen.append("closed")

    monkeypatch.setitem(checks.CHECKS, "options", counting)
    for looks, verdict, count, failed in (
        (0, verdicts.NOT_RUN, 0, 0),
        (1, verdicts.STOPPED, 1, 0),
        (2, verdicts.FAILED, 2, 1),
        (99, verdicts.FAILED, 6, 3),
    ):
        work = Work(looks)
        seen.clear()
        assert check.verify("options", work) == verdict
        (row,) = work.rows
        assert (row["runs"], row["failures"]) == (count, failed)
        assert row["verdict"] == verdict and row["backend"] == "reference"
        assert f"options: {verdict}, {count} runs" in work.notes[-1]
        assert count == 0 or seen[-1] == "closed"
    assert seen[:-1] == [0, 0, 1, 1, 2, 2]
    monkeypatch.setitem(checks.CHECKS, "options", lambda *_: iter([[]] * 2))
    monkeypatch.setattr(checks, "_compare", lambda *_: [])
    assert check.verify("sizes", Work(99)) == verdicts.PASSED


def test_the_cheap_checks_come_first():
    """What eats the time, every option, is the last to have it."""
    names = sum(map(list, verdicts.STAGES), [])
    assert names[0] == "small" and names[-1] == "options"
    # A failed capture spoils what its process does next.
    assert any(stage[-1] == "graph" for stage in verdicts.STAGES)


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


def test_the_sanitizer(tmp_path, monkeypatch):
    """A stand-in for the tool: what it finds, misses, and how it ends."""
    tool = tmp_path / "compute-sanitizer"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert "not installed" in sanitizer.run("memcheck", "cuda")
    for script, seconds, words in (
        ("exit 0", 20, "memcheck: nothing found"),
        ("echo race; exit 9", 20, "memcheck: FOUND something\nrace"),
        ("echo what; exit 3", 20, "memcheck did not run: what"),
        ("sleep 60", 0.2, "memcheck: not finished"),
        ("exit 0", 0, "memcheck: no time, NOT RUN"),
    ):
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        assert sanitizer.run("memcheck", "cuda", seconds).startswith(words)


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


def test_calls_take_turns(monkeypatch):
    """Each round has every call once; memory of none is forgotten."""
    calls = []
    monkeypatch.setattr(clock, "MAX_RUNS", 5)
    timed = clock.Clock("cpu", 60).interleave(
        {name: functools.partial(calls.append, name) for name in "abc"}
    )
    assert list(timed) == list("abc") and len(calls) == 15
    rounds = [calls[i : i + 3] for i in range(0, 15, 3)]
    assert all(sorted(turn) == list("abc") for turn in rounds)
    assert len(set(map(tuple, rounds))) > 1


def test_scripted_layers_are_warm_before_they_are_timed(monkeypatch):
    """Three calls even of a slow one: the first ones specialise."""
    made = []
    monkeypatch.setattr(
        measure, "training_step", lambda *given: functools.partial(made.append)
    )
    monkeypatch.setattr(measure, "build", lambda *_: torch.nn.Identity())
    warm = {}

    class Slow(clock.Clock):
        def warm(self, call, least=2):
            calls = []
            super().warm(lambda: calls.append(time.sleep(0.001)), least)
            warm[len(warm)] = len(calls)

        def interleave(self, calls, queued=False):
            return {}

    case = Case("LiGRU", 4, 4, 2, 3)
    names = ["speechbrain", "speechbrain-jit"]
    bf16 = measure.PRECISIONS[:1]
    list(measure.layers([case], names, "cpu", Slow("cpu", 0), print, bf16))
    assert list(warm.values()) == [2, 3, 2, 3]


@pytest.mark.parametrize("model", LIGRU_MODELS)
def test_backward_is_the_recurrence_alone(model, monkeypatch):
    """It is given what each step started from, and leaves it as it was."""
    case = Case(model, 4, 4, 2, 3, directions=2)
    w, u = torch.randn(2, 3, 8), torch.randn(8, 4)
    calls = dict(measure.scan_calls(case, "torchscript", w, u))
    assert list(calls) == ["infer", "backward", "gradients"]
    (du,) = calls["gradients"]()

    def outside(*_):
        raise AssertionError("not a part of the recurrence")

    monkeypatch.setattr(ops, "previous_hidden", outside)
    first, again = calls["backward"](), calls["backward"]()
    assert all(torch.equal(*pair) for pair in zip(first, again))
    # With a GEMM it gives the operator's gradient: same scan, same seed.
    assert first[1].shape == (2, 2, 3, 8) and du.shape == u.shape
    with pytest.raises(AssertionError, match="recurrence"):
        calls["gradients"]()


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
