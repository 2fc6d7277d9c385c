"""The GPU suite's dry run: its whole path on a CPU."""

import csv
import os
import shlex
import zipfile
from dataclasses import replace

import cuda_shim
import pytest
import torch

from benchmarks.cases import LIGRU_MODELS, Case
from benchmarks.gpu import __main__ as suite
from benchmarks.gpu import cases, check, measure, rivals, sanitizer, scans


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Fewer and smaller scans than the dry run's own."""
    plan = cases.DRY
    monkeypatch.setattr(
        cases,
        "DRY",
        replace(
            plan, options=plan.options[:2], cases=plan.cases[::4], rivals=()
        ),
    )


def run(tmp_path, *more):
    """Exit status, rows and notes."""
    arguments = ["--out", str(tmp_path), "--dry-run", "--seconds", "0"]
    status = suite.main([*arguments, "--seed", "1", *more])
    rows = []
    if (tmp_path / "gpu.csv").exists():
        with (tmp_path / "gpu.csv").open() as file:
            rows = list(csv.DictReader(file))
    return status, rows, (tmp_path / "checks.txt").read_text()


def test_dry_run(tmp_path):
    status, rows, notes = run(tmp_path, "--backends", "reference", "cuda")
    assert status == 0
    assert "not here: backend 'cuda' can't run on cpu" in notes
    assert "reference: options: 2 runs, 0 failures" in notes
    assert "reference: recompute: 1 runs, 0 failures" in notes
    assert {row["impl"] for row in rows} >= {"reference", "torch"}
    assert {row["model"] for row in rows} == {"LiGRU", "LSTM"}
    assert all(float(row["p50_ms"]) > 0 for row in rows)
    assert "\nLiGRU  16  2  2  6  bf16  reference" in notes


def test_a_decoders_step_goes_on_from_a_state():
    """Timed with a state on every rival, and among the first cases."""
    steps = [case for case in cases.FULL.cases if case.steps == 1]
    assert steps and all(case.with_hx for case in steps)
    assert steps[0] in cases.FULL.cases[: cases.FULL.first]
    for model in cases.MODELS:
        case = Case(model, 4, 4, 2, 1, with_hx=True)
        impls = measure.implementations(case, ["reference"])
        assert ("auto" in impls) == (model in LIGRU_MODELS)
        for impl in impls:
            layer = measure.build(impl, case, "cpu").eval()
            outputs = [
                measure.training_step(layer, case, "cpu", "infer", None)()
                for _ in range(2)
            ]
            assert outputs[0].shape == (2, 1, 4)
            assert not torch.equal(*outputs), "random states"


def test_rivals_in_the_dry_run(tmp_path, monkeypatch):
    plan = cases.DRY
    rival = Case("LiGRU", 8, 8, 2, 2, directions=2, dtype="bf16")
    monkeypatch.setattr(cases, "DRY", replace(plan, rivals=(rival,)))
    status, rows, notes = run(tmp_path, "--backends", "reference")
    assert status == 0
    found = {row["impl"]: row for row in rows}
    for impl in ("cublas-graph", "speechbrain-graph", "speechbrain-compile"):
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
    clock = measure.Clock("cpu", 0)
    rows = list(
        rivals.recurrences(case, cases.DRY, "cpu", 1, clock, notes.append)
    )
    assert [row["impl"] for row in rows] == ["right"]
    assert [line.split(": error")[0] for line in notes] == [
        "FAILED stale: call 1", "FAILED stale: call 2",
    ]  # fmt: skip


def test_compiling_needs_time():
    notes = []
    case = Case("LiGRU", 8, 8, 2, 2)
    rows = rivals.layers(
        case, "cpu", measure.Clock("cpu", 0), notes.append, lambda: 10
    )
    assert {row["impl"] for row in rows} == {"speechbrain-graph"}
    assert notes == ["no speechbrain-compile: no time to compile it"]


def test_the_cuda_backend_in_the_simulation(tmp_path, monkeypatch):
    plan = cases.DRY
    layer = next(case for case in plan.cases if case.model == "LiGRU")
    one = replace(plan, options=plan.options[:1], cases=(layer,), repeats=1)
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
    assert {row["mode"] for row in ours} == {"infer", "train", "backward"}


def test_a_wrong_backend_is_not_timed(tmp_path, monkeypatch):
    right = scans.run

    def wrong(given, backend, device, *types):
        found = right(given, backend, device, *types)
        if backend == "torchscript":
            found["grad u"] = found["grad u"] * 1.01
        return found

    monkeypatch.setattr(check.scans, "run", wrong)
    status, rows, notes = run(
        tmp_path, "--backends", "torchscript", "reference"
    )
    assert status == 1
    assert "FAILED torchscript" in notes and "FAILED reference" not in notes
    assert {"reference"} <= {row["impl"] for row in rows}
    assert "torchscript" not in {row["impl"] for row in rows}


def test_what_breaks_does_not_end_the_others(tmp_path, monkeypatch):
    """A check that raises fails its backend, a layer has no row."""

    def broken(plan, backend, device, seed):
        if backend == "torchscript":
            raise AssertionError("an illegal address")
        return [], 1

    right = measure.build

    def build(impl, case, device):
        if impl == "speechbrain-jit":
            raise MemoryError("too large")
        return right(impl, case, device)

    monkeypatch.setattr(check, "CHECKS", (broken, check.repeats))
    monkeypatch.setattr(measure, "build", build)
    status, rows, notes = run(
        tmp_path, "--backends", "torchscript", "reference"
    )
    assert status == 1
    assert "FAILED torchscript: AssertionError('an illegal address')" in notes
    assert "no row: speechbrain-jit bf16" in notes and "too large" in notes
    found = {row["impl"] for row in rows}
    assert {"reference", "speechbrain", "torch"} <= found
    assert not found & {"torchscript", "speechbrain-jit"}


def test_rows_say_where_they_come_from(tmp_path):
    arguments = ["--backends", "reference", "--commit", "abc", "--no-checks"]
    status, rows, notes = run(tmp_path, *arguments)
    assert status == 0 and "nothing checked: an earlier run has" in notes
    (run_name,) = {row["run"] for row in rows}
    assert len(run_name) == 12
    for row in rows:
        assert row["commit"] == "abc" and int(row["threads"]) > 0
        assert row["command"].startswith("python -m benchmarks.gpu --out ")
        assert not any(map(os.path.isabs, shlex.split(row["command"])))


def test_a_check_without_time_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.gpu.suite.CHECKING", -1)
    status, _, notes = run(tmp_path, "--backends", "reference")
    assert status == 0
    assert "reference: options: no time, NOT RUN" in notes


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


def test_the_time_limit_holds(tmp_path):
    status, rows, notes = run(
        tmp_path, "--backends", "reference", "--minutes", "0"
    )
    assert status == 0 and len(rows) == 1
    assert "time is over" in notes


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
