"""What is timed is right, takes turns, and leaves rows."""

import math
import pathlib

import pytest
import torch

from benchmarks import cases, layers, rows
from benchmarks.cases import Case
from speechbrain_ligru_fast.backends import reference
from speechbrain_ligru_fast.backends.turns import TURN
from speechbrain_ligru_fast.training.results import read_rows

CONTRACT = (
    "date commit device torch model impl directions layers features hidden "
    "batch steps dtype mode p20_ms p50_ms p80_ms"
).split()


@pytest.fixture
def benchmark(monkeypatch, tmp_path):
    """Runs the tool on a tiny shape; returns its status and result file."""
    monkeypatch.setitem(TURN, "cpu", 0)
    threads = torch.get_num_threads()
    out = tmp_path / "layers.csv"

    def start(*words):
        command = ["--impls", "reference", "speechbrain", "torch"]
        command += ["--hidden", "7", "--features", "3", "--batch", "2"]
        command += ["--steps", "5", "--threads", "1", "--seconds", "0"]
        return layers.main([*command, "--out", str(out), *words]), out

    yield start
    torch.set_num_threads(threads)


def test_rows_hold_the_contract_and_are_appended(benchmark):
    assert benchmark()[0] == 0
    status, out = benchmark("--modes", "infer")
    assert status == 0
    columns, rows = read_rows(out)
    assert set(CONTRACT) <= set(columns)
    assert all(float(row["p50_ms"]) > 0 for row in rows)
    assert {row["rounds"] for row in rows} == {"4"}
    models = ["LiGRU", "LiGRU", "SLiGRU", "SLiGRU", *["LSTM"] * 2]
    # The smallest LSTM and GRU have 16 units.
    assert [row["model"] for row in rows[:8]] == [*models, *["GRU"] * 2]
    assert [row["hidden"] for row in rows[4:8]] == ["7", "16"] * 2
    assert [row["mode"] for row in rows[::8]] == ["train", "infer", "infer"]
    assert len({row["run"] for row in rows}) == 2


def test_peaks_are_those_of_new_processes(benchmark):
    """Of 64 frames more than of 2: output, gradient, gates and their like."""
    sizes = ["--hidden", "128", "--batch", "16", "--steps", "300"]
    words = ["--models", "LiGRU", "--impls", "reference", "--peak"]
    status, out = benchmark(*words, *sizes)
    assert status == 0
    (row,) = read_rows(out)[1][-1:]
    # Of what the reference keeps of each frame: output, gates and projection.
    assert float(row["peak_mb"]) > 16 * 300 * 128 * 4 * 2 * 4 / 2**20


def test_what_auto_takes_is_what_others_are_compared_with(
    benchmark, monkeypatch
):
    monkeypatch.setattr(layers, "_auto", lambda case: "torchscript")
    impls = ["torchscript", "torchscript-recompute", "speechbrain-linear"]
    status, out = benchmark("--impls", *impls, "--models", "LiGRU")
    assert status == 0
    rows = read_rows(out)[1]
    assert [row["impl"] for row in rows] == [*impls, *impls[:2]]
    assert [row["auto"] for row in rows] == ["yes", "", ""] + ["yes", ""]
    assert rows[0]["ratio_p20"] == rows[0]["ratio_p80"] == "1.0"
    assert float(rows[1]["ratio_p50"]) > 0
    graph = layers.Step("speechbrain-linear", Case("LiGRU", 3, 3, 2, 4))
    nodes, names = [graph.layer(graph.x)[0].grad_fn], set()
    while nodes:
        node = nodes.pop()
        names.add(node.name())
        nodes += [parent for parent, _ in node.next_functions if parent]
    assert "UnbindBackward0" in names and "SelectBackward0" not in names


def scaled(function, index, factor):
    """A backend's function one of whose results is a little wrong."""

    def wrong(spec, w, *rest):
        found = list(function(spec, w, *rest))
        found[index] = found[index] * factor(w.dtype)
        return tuple(found)

    return wrong


@pytest.mark.parametrize(
    "function, index, factor",
    [
        ("scan_forward", 0, lambda dtype: 1 + 1e-6),
        ("scan_backward", 0, lambda dtype: math.nan),
        # In the timed type alone
        ("scan_forward", 0, lambda dtype: 1 + 1e-3 * (dtype == torch.float32)),
    ],
)
def test_a_wrong_backend_is_not_timed(
    benchmark, monkeypatch, capsys, function, index, factor
):
    wrong = scaled(getattr(reference, function), index, factor)
    monkeypatch.setattr(reference, function, wrong)
    status, out = benchmark()
    assert status == 1 and not out.exists()
    assert "WRONG: reference: LiGRU-7" in capsys.readouterr().out


@pytest.mark.parametrize("model", cases.LIGRU_MODELS)
def test_a_single_frame_is_compared_where_its_value_is_known(model):
    case = Case(model, 5, 3, 1, 1, 2)
    for impl in ("reference", "torchscript"):
        layers.check(impl, case)
        output, gradients = layers.Step(impl, case, torch.float64)()
        # The frame is its own mean: what is left of it is the bias.
        bias = torch.sin(torch.arange(1.0, 11.0)).double()
        a, z = bias.split(5)
        state = (1 - z.sigmoid()) * a.relu()
        torch.testing.assert_close(output[0, 0], state.repeat(2))
        assert gradients["x"].abs().max() < 1e-12
        assert gradients["rnn.0.norm.bias"].abs().max() > 0.1


def test_an_error_is_seen_where_0_is_right():
    zero = torch.zeros(2)
    assert layers._error(torch.tensor([0.0, 1e-3]), zero) == pytest.approx(1e-3)
    assert math.isnan(layers._error(torch.tensor([0.0, math.nan]), zero))
    assert layers._error(torch.tensor([8.0]), torch.tensor([10.0])) == 0.2


def test_a_damaged_file_is_refused_before_any_work(benchmark, capsys):
    _, out = benchmark("--modes", "infer")
    damaged = out.read_text() + "2026-11-22,abc\n"
    out.write_text(damaged)
    with pytest.raises(SystemExit):
        benchmark()
    assert "line 10" in capsys.readouterr().err
    assert out.read_text() == damaged


@pytest.mark.parametrize(
    "words, said",
    [
        (["--impls", "nope"], "'nope' (choose from"),
        (["--impls", "cuda"], "'cuda' (choose from"),
        (["--threads", "0"], "got 0, allowed: 1 and more"),
        (["--out", "."], "--out: "),
    ],
)
def test_bad_arguments(benchmark, capsys, words, said):
    with pytest.raises(SystemExit):
        benchmark(*words)
    assert said in capsys.readouterr().err.replace("invalid choice: ", "")


@pytest.mark.parametrize("model", [*cases.LIGRU_MODELS, *cases.TORCH_MODELS])
@pytest.mark.parametrize("directions, deep", [(1, 1), (2, 1), (2, 3)])
def test_parameters_are_those_of_the_layer(model, directions, deep):
    case = Case(model, 7, 3, 2, 5, directions, deep)
    impl = "torch" if model in cases.TORCH_MODELS else "speechbrain"
    layer = layers.Step(impl, case).layer
    numbers = [one.numel() for one in layer.parameters()]
    assert cases.parameters(case) == sum(numbers)


def test_a_readers_rows_are_not_the_committed_ones():
    root = pathlib.Path(layers.__file__).parents[1]
    args, _ = rows.begin(layers._parser(), [])
    assert args.out == root / "build/benchmarks/layers.csv"
