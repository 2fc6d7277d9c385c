"""The benchmark tools: they refuse on red, and lose and invent nothing."""

import csv
import math
import sys
from pathlib import Path

import pytest
import tiny_corpora
import torch

from benchmarks import (
    cases,
    convergence,
    impls,
    memory,
    report,
    run,
    timing,
    verify,
)
from benchmarks.cases import Case
from benchmarks.rows import load, ratio, where
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
    monkeypatch.setattr(run, "LONG_CASES", ())
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
        for case in cases.PARITY_CASES + cases.TIMING_CASES + cases.LONG_CASES
    ]
    assert len(set(names)) == len(names)
    for option in (
        "directions layers nonlinearity normalization bias affine with_hx "
        "mode hidden steps"
    ).split():
        values = {getattr(c, option) for c in cases.PARITY_CASES}
        quick = {getattr(c, option) for c in cases.QUICK_PARITY_CASES}
        assert len(values) > 1 and quick == values


def test_long_cases_are_timed_by_name_only(tmp_path):
    out = ["--out", str(tmp_path / "rows.csv")]
    assert not set(cases.LONG_CASES) & set(run._parse(out).cases)
    asked = run._parse(["--cases", "*-t1000-*", "*-t2000-*", *out]).cases
    assert asked == list(cases.LONG_CASES)


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


class Counter:
    """Counts its calls; prepare must come before each."""

    def __init__(self):
        self.calls = self.prepared = 0

    def prepare(self):
        self.prepared += 1

    def __call__(self):
        self.calls += 1
        assert self.prepared == self.calls


def test_warm_up_is_not_timed_and_all_take_turns():
    steps = {"a": Counter(), "b": Counter()}
    times = timing.interleave(steps, {"a": 5, "b": 2}, 3, 0.0)
    assert {key: len(found) for key, found in times.items()} == {
        "a": 3,
        "b": 3,
    }
    assert (steps["a"].calls, steps["b"].calls) == (8, 5)


needs_counters = pytest.mark.skipif(
    not memory.can_measure(), reason="needs Linux's counters and glibc"
)


@needs_counters
def test_memory_of_a_known_allocation():
    assert memory.growth(lambda: torch.ones(16 * 2**20)) == pytest.approx(
        64, abs=2
    )


@needs_counters
def test_memory_of_a_step_in_its_own_process():
    case = Case("LSTM", 64, 64, 8, 100)
    # Input gradient and output alone; four gates at least are kept too.
    least = 4 * 8 * 100 * 64 * (1 + 1 + 4) / 2**20
    assert least < memory.peak_mb("torch", case, 1) < 30 * least


def test_memory_of_a_step_that_fails():
    case = Case("LSTM", 7, 3, 2, 5)
    with pytest.raises(RuntimeError, match="LSTM-h7.*status 1"):
        memory.peak_mb("speechbrain", case, 1)


@pytest.fixture
def poisoned_memory():
    """Uninitialised tensors hold NaN."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(before)


def test_every_backend_equals_stock_in_every_option(poisoned_memory):
    ours = [name for name in impls.names() if impls.is_ours(name)]
    assert {"reference", "torchscript", "numba"} <= set(ours)
    found = verify.check_options(ours, cases.PARITY_CASES)
    for name in ours:
        covered = {c.case for c in found if c.impl == name}
        assert covered == set(cases.PARITY_CASES)
    assert [str(comparison) for comparison in found if not comparison.ok] == []


def test_relative_errors_catch_what_is_missing():
    case = Case("LiGRU", 5, 3, 2, 4, dtype="fp64")
    want = verify.quantities("speechbrain", case)
    assert set(want) == {
        "output",
        "hidden",
        "grad x",
        "grad rnn.0.w.weight",
        "grad rnn.0.u.weight",
        "grad rnn.0.norm.weight",
        "grad rnn.0.norm.bias",
        "rnn.0.norm.running_mean",
        "rnn.0.norm.running_var",
    }
    nan = verify.Comparison("x", case, "output", math.nan, 1.0)
    assert not nan.ok


@pytest.fixture
def train(monkeypatch, tmp_path):
    """Trains the tiny system; returns the rows by layer and type."""
    system = Path(__file__).parent / "hparams" / "tiny_timit.yaml"
    monkeypatch.setattr(convergence, "SYSTEM", system)
    # SpeechBrain replaces the hook for the rest of the process.
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    corpus = tiny_corpora.make_timit(tmp_path / "corpus")
    threads = torch.get_num_threads()

    def start(steps):
        out = tmp_path / "convergence.csv"
        arguments = ["--steps", str(steps), "--threads", "1"]
        arguments += ["--out", str(out), "--data_folder", str(corpus)]
        arguments += ["--backend", "reference"]
        convergence.main([*arguments, "--number_of_epochs", "2"])
        found = {}
        for row in read(out):
            found.setdefault((row["impl"], row["dtype"]), []).append(row)
        return found

    yield start
    torch.set_num_threads(threads)


def worst(rows):
    return max(float(row["difference"]) for row in rows)


def test_both_layers_train_alike(train):
    found = train(4)
    assert set(found) == {
        ("reference", "fp64"),
        ("reference", "fp32"),
        ("speechbrain-perturbed", "fp32"),
    }
    assert all(len(rows) == 4 for rows in found.values())
    losses = [float(row["loss"]) for row in found["reference", "fp64"]]
    assert len(set(losses)) == 4
    assert worst(found["reference", "fp64"]) < 1e-6
    assert worst(found["speechbrain-perturbed", "fp32"]) > 0
    assert torch.get_default_dtype() == torch.float32


def test_a_wrong_layer_trains_otherwise(train, monkeypatch):
    def wrong(encoder, backend):
        with torch.no_grad():
            encoder.RNN.rnn[0].w.weight.mul_(1.5)
            encoder.RNN.rnn[0].u.weight.zero_()

    monkeypatch.setattr(convergence, "accelerate", wrong)
    found = train(1)
    assert worst(found["reference", "fp64"]) > 1e-4
    assert worst(found["reference", "fp32"]) > 1e-4


def test_too_few_utterances_to_train_on(train):
    with pytest.raises(ValueError, match="steps: got 9.*only 4"):
        train(9)


# Two runs on one machine; the second timed no LSTM and no eager layer at
# H=256. p50: ours 10 then 8 ms, stock 30 then 20 ms, LSTM 25 ms. A third
# timed ours alone, with gates kept and recomputed.
LAYERS = """\
date,commit,device,driver,torch,model,impl,directions,layers,features,hidden,\
batch,steps,dtype,mode,p20_ms,p50_ms,p80_ms,peak_mb,op,auto,scan_gflops,\
gemm_gflops,gemm_ratio,run,threads,command
d1,c1,CPU,,2.11,LiGRU,numba,2,1,512,512,8,100,fp32,train,9,10,11,,layer,yes,,,\
,r1,2,python x
d1,c1,CPU,,2.11,LiGRU,speechbrain,2,1,512,512,8,100,fp32,train,29,30,31,,layer\
,,,,,r1,2,python x
d1,c1,CPU,,2.11,LSTM,torch,2,1,512,512,8,100,fp32,train,24,25,26,,layer,,,,,r1\
,2,python x
d1,c1,CPU,,2.11,LiGRU,numba,2,1,512,512,8,100,fp32,infer,1,2,3,,scan,yes,100,\
160,0.625,r1,2,python x
d2,c2,CPU,,2.11,LiGRU,numba,2,1,512,512,8,100,fp32,train,7,8,9,40,layer,yes,,,\
,r2,2,python y
d2,c2,CPU,,2.11,LiGRU,speechbrain,2,1,512,512,8,100,fp32,train,19,20,21,100,\
layer,,,,,r2,2,python y
d3,c3,CPU,,2.11,LiGRU,numba,2,1,512,512,8,400,fp32,train,7,8,9,40,layer,yes,,,\
,r3,2,python z
d3,c3,CPU,,2.11,LiGRU,numba-recompute,2,1,512,512,8,400,fp32,train,9,10,11,30,\
layer,,,,,r3,2,python z
"""

RECIPES = """\
date,commit,device,corpus,split,recipe,rnn,impl,lm,seed,epochs,params,wer,cer,\
per,epoch_s,decode_rtf,peak_mb,command,settings
d1,c1,CPU,AN4,test,librispeech/an4,LiGRU,numba,none,2,60,1234567,5.5,5,,20,0.5\
,900,python train.py,other
d1,c1,CPU,AN4,test,librispeech/an4,LiGRU,numba,none,1,60,1234567,9.9,5,,20,0.5\
,900,python train.py old,
d2,c2,CPU,AN4,test,librispeech/an4,LiGRU,numba,none,1,60,1234567,8.7,4.2,,20,\
0.5,900,python train.py new,
d0,c0,CPU,AN4,test,librispeech/an4,LiGRU,numba,none,1,40,1234567,12.3,6,,20,0.5\
,900,python train.py shorter --lr 0.1,
d2,c2,CPU,AN4,dev,librispeech/an4,LiGRU,numba,none,1,60,1234567,7.7,4.2,,20,\
0.5,900,python train.py new,
d2,c2,CPU,NLTK,test,timit/small,LiGRU,numba,none,1,60,1234567,,,31.5,20,0.5,\
900,python train.py,
"""


@pytest.fixture
def project(tmp_path):
    """A repository with result files and a document of every table."""
    folder = tmp_path / "benchmarks" / "results"
    folder.mkdir(parents=True)
    for name in ("layers", "recompute"):
        (folder / f"{name}.csv").write_text(LAYERS)
    (folder / "recipes.csv").write_text(RECIPES)
    (tmp_path / "README.md").write_text(
        "# Fast\n\n"
        + "".join(
            f"<!-- table:{name} -->\nold\n<!-- /table -->\n\ntext\n"
            for name in report.TABLES
        )
    )
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "plain.md").write_text("No tables here.\n")
    return tmp_path


def table(project, name):
    """The lines of one table of the document."""
    text = (project / "README.md").read_text()
    begin = text.index(f"<!-- table:{name} -->")
    return text[begin : text.index("<!-- /table -->", begin)].splitlines()


def test_report(project, capsys):
    assert report.main(["--root", str(project)]) == 0
    # The newest run timed no LSTM.
    assert (
        "| train step, LiGRU, H=512, T=100 | 8 | 20 |  | 2.50x |  |"
        in table(project, "headline")
    )
    # Nor is a run of ours alone a comparison.
    assert "T=400" not in "\n".join(table(project, "headline"))
    assert (
        "| LiGRU | numba | 512 | 8 | 400 | 2 | 1 | fp32 | 8 | 10 | 1.25x "
        "| 40 | 30 | 0.75x |" in table(project, "recompute")
    )
    # Newest rows; the LSTM's only run was the first: 25 / 10.
    assert (
        "| LiGRU | 512 | 100 | fp32 | train | numba | 8 | 2.50x |  | 2.50x |"
        "  |" in table(project, "layers")
    )
    assert (
        "| LiGRU | speechbrain | 512 | 8 | 100 | fp32 | train | 19 | 20 | 21 "
        "| 100 |" in table(project, "layers-all")
    )
    scan = "| numba | 512 | 16 | infer | 2 | 100 | 160 | 62% |"
    assert scan in table(project, "scan")
    targets = "\n".join(table(project, "targets"))
    assert (
        "| train step, LiGRU against SpeechBrain's, H=512, T=100 | at least "
        "2.4 | 2.5 | yes |" in targets
    )
    assert "16 rows, H=512" in targets and "| 0.625 | NO |" in targets
    assert "H=1024, T=100 | at least 3 | not measured |  |" in targets
    recipes = "\n".join(table(project, "recipes"))
    assert "| 8.7 | 4.2 |  |" in recipes and "python train.py new" in recipes
    assert "python train.py old" not in recipes
    assert "| 12.3 | 6 |  |" in recipes  # of fewer epochs
    assert table(project, "results-librispeech")[1:] == [
        "| recipe | corpus | layer | by | LM | options of its own | epochs | "
        "seeds | WER % | s/epoch | parameters |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| librispeech/an4 | AN4 | LiGRU | numba | none |  | 60 | 1 | 8.70 | "
        "20 | 1234567 |",
        "| librispeech/an4 | AN4 | LiGRU | numba | none | `--lr=0.1` | 40 | 1 "
        "| 12.30 | 20 | 1234567 |",
    ]
    timit = table(project, "results-timit")
    assert "PER %" in timit[1] and "31.50" in timit[3] and len(timit) == 4
    figures = sorted(path.name for path in project.glob("docs/figures/*"))
    assert figures == ["gemm_ratio.png", "speedup.png", "time_vs_steps.png"]
    plain = (project / "docs" / "plain.md").read_text()
    assert plain == "No tables here.\n"


def test_a_ratio_needs_one_run(project):
    rows = load(project / "benchmarks" / "results" / "layers.csv")
    ours = where(rows, model="LiGRU", impl="numba", op="layer", run="r2")
    lstm = where(rows, model="LSTM")
    assert ratio(ours, lstm, "p50_ms") is None


def test_check_catches_an_edited_number(project, capsys):
    report.main(["--root", str(project)])
    assert report.main(["--check", "--root", str(project)]) == 0
    readme = project / "README.md"
    readme.write_text(readme.read_text().replace("2.50x", "3.50x", 1))
    edited = readme.read_text()
    capsys.readouterr()
    assert report.main(["--check", "--root", str(project)]) == 1
    printed = capsys.readouterr().out
    removed = [line for line in printed.splitlines() if line[:2] == "-|"]
    assert len(removed) == 1 and "3.50x" in removed[0]
    assert readme.read_text() == edited


def test_without_rows_tables_say_so(project):
    for path in project.glob("benchmarks/results/*.csv"):
        path.unlink()
    assert report.main(["--root", str(project)]) == 0
    assert table(project, "layers")[1] == "No rows yet."
    assert not (project / "docs" / "figures").exists()


@pytest.mark.parametrize(
    "text, message",
    [
        ("<!-- table:nope -->\n<!-- /table -->\n", "no table 'nope'.*layers"),
        ("<!-- table:layers -->\n", "needs its"),
        ("<!-- /table -->\n", "needs its"),
        (
            "<!-- table:layers -->\n<!-- table:scan -->\n<!-- /table -->\n",
            "needs its",
        ),
    ],
)
def test_bad_markers(project, text, message):
    (project / "docs" / "bad.md").write_text(text)
    with pytest.raises(ValueError, match=f"(?s)bad.md.*{message}"):
        report.main(["--root", str(project)])
    assert (project / "docs" / "bad.md").read_text() == text


def test_committed_tables_match_the_result_files(capsys):
    assert report.main(["--check"]) == 0, capsys.readouterr().out
