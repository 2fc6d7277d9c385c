"""The GPU suite's dry run: its whole path on a CPU."""

import csv
import zipfile

import cuda_shim
import pytest

from benchmarks.gpu import __main__ as suite
from benchmarks.gpu import cases, check, measure, scans


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Fewer and smaller scans than the dry run's own."""
    plan = cases.DRY
    monkeypatch.setattr(
        cases,
        "DRY",
        cases.Plan(plan.options[:2], plan.sizes, plan.cases[::2], 2),
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
    assert {row["impl"] for row in rows} >= {"reference", "torch"}
    assert {row["model"] for row in rows} == {"LiGRU", "LSTM"}
    assert all(float(row["p50_ms"]) > 0 for row in rows)
    assert "\nLiGRU     16   2 2    6 bf16 reference" in notes


def test_the_cuda_backend_in_the_simulation(tmp_path, monkeypatch):
    plan = cases.DRY
    one = cases.Plan(plan.options[:1], plan.sizes, plan.cases[:1], 1)
    monkeypatch.setattr(cases, "DRY", one)
    monkeypatch.setattr(measure, "PRECISIONS", measure.PRECISIONS[:1])
    with cuda_shim.installed(cuda_shim.Shim()) as shim:
        status, rows, notes = run(tmp_path, "--backends", "cuda")
    assert status == 0, notes
    assert {plan.backward for plan in shim.used} == {False, True}
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
    suite.use_wheels(
        suite.parse(["--out", "x", "--wheels", str(wheels)]).wheels
    )
    import only_in_a_wheel

    assert only_in_a_wheel.value == 3
    assert suite.os.environ["PYTHONPATH"].startswith("before:")
