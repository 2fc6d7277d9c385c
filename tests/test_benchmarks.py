"""The benchmark tools: they refuse on red, and lose and invent nothing."""

import csv
import math
import pathlib

import pytest
import torch

from benchmarks import (
    cases,
    impls,
    run,
    scaling,
    streaming,
    timing,
)
from benchmarks.cases import Case
from benchmarks.provenance import describe_cpu
from benchmarks.targets import TARGETS
from speechbrain_ligru_fast.backends import reference

CONTRACT = (
    "date commit device driver torch model impl directions layers features "
    "hidden batch steps dtype mode p20_ms p50_ms p80_ms peak_mb"
).split()

TINY = (
    Case("LiGRU", 7, 3, 2, 5, directions=2),
    Case("LSTM", 7, 3, 2, 5, directions=2),
    Case("LiGRU", 7, 7, 3, 5, directions=2, op="scan", mode="infer"),
)


@pytest.fixture
def benchmark(monkeypatch, tmp_path):
    """Runs the tool on tiny cases; returns its status and its result file."""
    odd = [
        Case("LiGRU", 7, 4, 3, 5, dtype="fp64", directions=2, with_hx=True),
        Case("SLiGRU", 5, 4, 1, 5, dtype="fp64", nonlinearity="tanh"),
    ]
    monkeypatch.setattr(run, "PARITY_CASES", odd)
    monkeypatch.setattr(run, "TIMING_CASES", TINY)
    monkeypatch.setattr(run, "NAMED_CASES", ())
    monkeypatch.setattr(run, "DEEP_CASES", TINY[:1])
    monkeypatch.setattr(timing, "GEMM_SIZE", 16)
    threads = torch.get_num_threads()

    def start(*arguments):
        out = tmp_path / "layers.csv"
        status = run.main(
            ["--impls", "reference", "speechbrain", "torch", "--threads", "1"]
            + ["--rounds", "2", "--min-seconds", "0", "--out", str(out)]
            + list(arguments)
        )
        return status, out

    yield start
    torch.set_num_threads(threads)


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_rows_hold_the_contract_and_are_appended(benchmark):
    status, out = benchmark()
    assert status == 0
    first = out.read_text()
    rows = read(out)
    assert list(rows[0])[: len(CONTRACT)] == CONTRACT
    assert [(r["model"], r["impl"]) for r in rows if r["op"] == "layer"] == [
        ("LiGRU", "reference"),
        ("LiGRU", "speechbrain"),
        ("LSTM", "torch"),
    ]
    assert all(float(row["p50_ms"]) > 0 for row in rows)
    assert all(row["commit"] and row["run"] for row in rows)
    scans = [row for row in rows if row["op"] == "scan"]
    for row in scans:
        seconds = float(row["p50_ms"]) / 1000
        flops = 4 * 7 * 7 * 6 * 5
        # The file rounds the rate to 0.01 GFLOP/s.
        assert float(row["scan_gflops"]) == pytest.approx(
            flops / seconds / 1e9, abs=0.006
        )
    parity = read(out.with_name("parity.csv"))
    assert {row["dtype"] for row in parity} == {"fp64", "fp32"}
    assert all(float(row["share_of_limit"]) <= 1 for row in parity)

    status, out = benchmark()
    assert status == 0
    assert out.read_text().startswith(first)
    assert len(read(out)) == 2 * len(rows)
    assert len({row["run"] for row in read(out)}) == 2


def test_gates_that_are_computed_again_are_an_implementation(benchmark):
    both = ["reference", "reference-recompute"]
    status, out = benchmark("--deep", "--impls", *both)
    assert status == 0
    assert [row["impl"] for row in read(out)] == both
    parity = read(out.with_name("parity.csv"))
    assert {row["impl"] for row in parity} == set(both)


def test_a_single_step_is_no_backends(benchmark, monkeypatch):
    lengths = (1, 4)
    steps = tuple(Case("LiGRU", 7, 3, 2, t, mode="infer") for t in lengths)
    monkeypatch.setattr(run, "TIMING_CASES", steps)
    status, out = benchmark("--impls", "auto", "numba")
    assert status == 0
    flagged = {(r["steps"], r["impl"]) for r in read(out) if r["auto"]}
    assert flagged == {("1", "auto"), ("4", "numba")}


def scaled(function, index, factor):
    """A backend function one of whose results is a little wrong."""

    def wrong(*args):
        found = list(function(*args))
        found[index] = found[index] * factor
        return tuple(found)

    return wrong


@pytest.mark.parametrize(
    "function, index", [("scan_forward", 0), ("scan_backward", 2)]
)
@pytest.mark.parametrize("factor", [1 + 1e-6, math.nan])
def test_refuses_a_wrong_backend(
    benchmark, monkeypatch, capsys, function, index, factor
):
    wrong = scaled(getattr(reference, function), index, factor)
    monkeypatch.setattr(reference, function, wrong)
    status, out = benchmark()
    assert status == 1
    assert not out.exists() and not out.with_name("parity.csv").exists()
    assert "FAILED reference" in capsys.readouterr().out


def test_refuses_what_is_only_wrong_at_the_timed_size(benchmark, monkeypatch):
    forward = reference.scan_forward
    wrong = scaled(forward, 0, 1.001)

    def choose(spec, w, *rest):
        function = wrong if w.dtype == torch.float32 else forward
        return function(spec, w, *rest)

    monkeypatch.setattr(reference, "scan_forward", choose)
    status, out = benchmark()
    assert status == 1
    assert not out.exists()


def test_refuses_a_backend_that_raises(benchmark, monkeypatch, capsys):
    def broken(*args):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(reference, "scan_backward", broken)
    status, _ = benchmark()
    assert status == 1
    assert "no such kernel" in capsys.readouterr().out


def test_columns_migrate_by_union(benchmark):
    _, out = benchmark("--cases", "LSTM*")
    kept = read(out)
    columns = CONTRACT + ["peer"]
    with open(out, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerow({**{c: kept[0][c] for c in CONTRACT}, "peer": "x"})
    status, out = benchmark("--cases", "LSTM*")
    assert status == 0
    old, new = read(out)
    assert list(old)[: len(columns)] == columns
    assert {c: old[c] for c in CONTRACT} == {c: kept[0][c] for c in CONTRACT}
    assert (old["peer"], old["run"]) == ("x", "")
    assert (new["peer"], new["model"]) == ("", "LSTM") and new["run"]


def test_a_damaged_file_is_refused_before_any_work(benchmark, capsys):
    _, out = benchmark("--cases", "LSTM*")
    damaged = out.read_text() + "2026-11-22,abc\n"
    out.write_text(damaged)
    with pytest.raises(SystemExit) as refused:
        benchmark("--cases", "LSTM*")
    assert refused.value.code == 2
    assert "line 3" in capsys.readouterr().err
    assert out.read_text() == damaged


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--impls", "nope"], ["impls", "'nope'", "reference"]),
        (["--impls", "cuda"], ["impls", "'cuda'", "speechbrain"]),
        (["--impls", "cuda-recompute"], ["NVIDIA GPU", "numba-recompute"]),
        (["--cases", "nope"], ["cases", "'nope'", TINY[0].name]),
        (["--threads", "0"], ["--threads", "got 0", "1 and more"]),
        (["--rounds", "0"], ["--rounds", "got 0"]),
        (["--out", "."], ["--out", "CSV file", "folder ."]),
    ],
)
def test_bad_arguments(benchmark, capsys, arguments, words):
    with pytest.raises(SystemExit) as refused:
        benchmark(*arguments)
    assert refused.value.code == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words)


def test_a_case_names_a_wrong_option():
    with pytest.raises(ValueError, match="nonlinearity is 'gelu'.*tanh"):
        Case("LiGRU", 7, 3, 2, 5, nonlinearity="gelu")


def test_cases_cover_every_option():
    names = [
        case.name
        for case in cases.PARITY_CASES + cases.TIMING_CASES + cases.NAMED_CASES
    ]
    assert len(set(names)) == len(names)
    for option in (
        "directions layers nonlinearity normalization bias affine with_hx "
        "mode hidden steps"
    ).split():
        values = {getattr(c, option) for c in cases.PARITY_CASES}
        quick = {getattr(c, option) for c in cases.QUICK_PARITY_CASES}
        assert len(values) > 1 and quick == values


@pytest.mark.parametrize("model", [*cases.LIGRU_MODELS, "LSTM", "GRU"])
@pytest.mark.parametrize("directions", [1, 2])
def test_parameters_are_those_of_the_layer(model, directions):
    case = Case(model, 7, 3, 2, 5, directions=directions)
    impl = "torch" if model in cases.TORCH_MODELS else "speechbrain"
    layer = impls.build(impl, case)
    numbers = [one.numel() for one in layer.parameters()]
    assert cases.parameters(case) == sum(numbers)


@pytest.mark.parametrize("hidden", [256, 512, 1024])
def test_an_lstm_of_equal_size_is_timed_in_turns_with_it(hidden):
    case = Case("LiGRU", hidden, hidden, 8, 100, directions=2)
    equal = cases.lstm_of_equal_size(case)
    ratio = cases.parameters(equal) / cases.parameters(case)
    assert equal.hidden % 16 == 0 and abs(ratio - 1) < 0.04
    assert equal.input_shape == case.input_shape
    groups = run._groups(cases.TIMING_CASES)
    (together,) = (group for group in groups if case in group)
    assert equal in together


def test_a_linear_backward_of_stocks_is_timed(benchmark):
    status, out = benchmark("--impls", "speechbrain", "speechbrain-linear")
    assert status == 0
    assert [(r["model"], r["impl"], r["op"]) for r in read(out)] == [
        ("LiGRU", "speechbrain", "layer"),
        ("LiGRU", "speechbrain-linear", "layer"),
        ("LiGRU", "speechbrain", "scan"),
    ]
    parity = read(out.with_name("parity.csv"))
    assert {row["impl"] for row in parity} == {"speechbrain-linear"}
    assert {row["cpu"] for row in parity} == {describe_cpu()}


def test_some_cases_are_timed_by_name_only(tmp_path):
    out = ["--out", str(tmp_path / "rows.csv")]
    assert not set(cases.NAMED_CASES) & set(run._parse(out).cases)
    asked = run._parse(["--cases", "*-t1000-*", "*-t2000-*", *out]).cases
    assert asked == list(cases.LONG_CASES)


@pytest.mark.parametrize("argv", [[], ["--quick"], ["--deep"]])
def test_a_readers_rows_are_not_the_committed_ones(argv):
    default = run._parse(argv).out
    root = pathlib.Path(run.__file__).parent.parent
    for path in (default, streaming.RESULTS, scaling.RESULTS):
        assert path.parent == root / "build" / "benchmarks"
        assert path.suffix == ".csv"


def test_every_target_is_timed():
    """What the report judges is what the benchmark runs."""
    for target in TARGETS:
        if target.source != "layers":
            continue
        for cells in filter(None, (target.ours, target.theirs)):
            wanted = {
                key: value
                for key, value in cells.items()
                if key not in ("impl", "auto")
            }
            assert any(
                all(getattr(case, k) == v for k, v in wanted.items())
                and (target.column != "peak_mb" or case.memory)
                for case in cases.TIMING_CASES
            ), target.text
