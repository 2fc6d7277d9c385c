"""The pages' tables come from the rows, and from nothing else."""

import pytest

from benchmarks import report
from speechbrain_ligru_fast.training.results import append_row

ORIGIN = {"device": "CPU", "threads": 2, "torch": "2.11", "cpu": "AMX"}
SHAPE = {"directions": 2, "layers": 1, "features": 512, "batch": 8}
SHAPE |= {"dtype": "fp32", "mode": "train", "op": "layer", "hidden": 512}


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Rows of two runs, and what a page makes of them."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)

    def timed(run, model, impl, ms, **cells):
        row = {"date": f"2026-11-2{run}", "commit": f"c{run}", "run": f"r{run}"}
        row |= {"command": f"python -m tool{run} --x", "steps": 100} | SHAPE
        row |= ORIGIN | {"model": model, "impl": impl, "p50_ms": ms} | cells
        append_row(tmp_path / "layers.csv", row)

    timed(1, "LiGRU", "numba", 10, auto="yes")
    timed(1, "LiGRU", "speechbrain", 30)
    timed(1, "LSTM", "torch", 25)
    timed(2, "LiGRU", "numba", 8, auto="yes")
    timed(2, "LiGRU", "speechbrain", 20)
    timed(2, "LiGRU", "numba", 5, auto="yes", dtype="bf16")
    timed(2, "LSTM", "torch", 4, hidden=192)
    timed(2, "LiGRU", "numba", 2, op="scan", gemm_ratio=0.625)
    # A run of ours alone is no comparison.
    timed(3, "LiGRU", "numba", 1, auto="yes")

    def fill(call, *words):
        path = tmp_path / "README.md"
        if call:
            path.write_text(f"<!-- [[[cog {call} ]]] -->\n<!-- [[[end]]] -->\n")
        status = report.main(["--root", str(tmp_path), *words])
        lines = path.read_text().splitlines()
        cells = [[x.strip() for x in line.split("|")[1:-1]] for line in lines]
        return status, lines, cells

    fill.rows = tmp_path
    return fill


def test_layers_of_the_newest_comparison(page):
    status, lines, cells = page('report.layers(dtype="fp32")')
    assert status == 0
    assert lines[1] == (
        "CPU (AMX), threads: 2, torch 2.11; tool2 of commit c2, "
        "2026-11-22; its options are in layers.csv."
    )
    assert cells[3][3:] == [
        *("model", "ours, ms", "SpeechBrain", "LSTM, as many parameters")
    ]
    assert cells[5:-1] == [
        ["train", "512", "100", "LiGRU", "8", "2.50x", "0.50x"]
    ]
    # Of a named run; another layer's time is of the same run.
    assert page('report.layers(run="r1")')[2][5][4:] == ["10", "3.00x", "2.50x"]


def test_figures_of_any_file(page):
    call = 'report.measured("layers", {"impl": "by"}, {"gemm_ratio": "share"}'
    assert page(f'{call}, op="scan", mode="train")')[2][-2] == []
    append_row(
        page.rows / "streaming.csv",
        ORIGIN | {"date": "2026-11-24", "commit": "c", "run": "r"}
        | {"command": "python -m x", "chunk_s": 0.5, "rtf": 0.0983},
    )  # fmt: skip
    call = 'report.measured("streaming", {"chunk_s": "chunk"}, {"rtf": "RTF"})'
    assert page(call)[2][-2] == ["0.5", "0.0983"]
    call = 'report.measured("gpu", {"impl": "by"}, {"p50_ms": "ms"})'
    assert page(call)[1][1] == "Not measured."


def test_recognisers_by_seed(page):
    def trained(rnn, rates, /, **cells):
        for seed, wer in enumerate(rates, 1):
            row = {"date": "d", "device": "CPU", "threads": 1, "corpus": "AN4"}
            row |= {"recipe": "librispeech/an4", "split": "test-an4"}
            row |= {"rnn": rnn, "impl": "numba", "lm": "none", "settings": "a"}
            row |= {"seed": seed, "epochs": 90, "params": 1000, "wer": wer}
            row |= {"command": "python train.py a.yaml"} | cells
            append_row(page.rows / "recipes.csv", row)

    trained("SLiGRU", [5, 6, 7])
    trained("SLiGRU", [1], settings="new")  # too few seeds
    trained("SLiGRU", [4, 4, 4], lm="old", settings="b")
    trained("SLiGRU", [3, 4, 5], lm="lm", settings="c")
    trained("LSTM", [9, 10, 11], impl="torch")
    trained("LSTM", [12, 13, 14], impl="torch-padded")
    trained("LSTM", [7, 8, 9], impl="torch-padded", lm="lm")
    trained("LSTM", [2], impl="torch", split="dev-an4")
    trained("GRU", [1], recipe="librispeech/lj")
    call = 'report.recognisers("librispeech/an4"'
    older = page(f'{call}, settings="b")')[2]
    assert [x[-1] for x in older[3:-1]] == ["4.00 ± 0.00 (4.00, 4.00, 4.00)"]
    found = page(f"{call})")[2]
    assert [line[2:4] + line[-3:] for line in found[3:-1]] == [
        ["LSTM", "torch", "10.00 ± 1.00 (9.00, 10.00, 11.00)", "", ""],
        ["LSTM", "torch-padded", "13.00 ± 1.00 (12.00, 13.00, 14.00)", "",
         "8.00 ± 1.00 (7.00, 8.00, 9.00)"],
        # To the LSTM of the lower mean; the most extreme 2 of 20 divisions
        ["SLiGRU", "numba", "6.00 ± 1.00 (5.00, 6.00, 7.00)",
         "-4.00, p = 0.10", "4.00 ± 1.00 (3.00, 4.00, 5.00)"],
    ]  # fmt: skip


def test_hybrids_all_have_a_language_model(page):
    for seed, per in enumerate((30.0, 32.0), 1):
        row = {"corpus": "TIMIT", "recipe": "hybrid/timit", "split": "test"}
        row |= {"rnn": "LiGRU", "impl": "numba", "lm": "2-gram", "per": per}
        row |= {"settings": "a", "epochs": 9, "params": 1000, "gmm_s": 12.0}
        row |= {"seed": seed, "command": "python train.py a.yaml"}
        append_row(page.rows / "hybrid.csv", row)
    call = 'report.recognisers("hybrid", name="hybrid", gmm_s="GMM, s")'
    cells = page(call)[2]
    assert cells[1][2:] == ["layer", "by", *("parameters", "epochs"),
                            "GMM, s", "error %"]  # fmt: skip
    assert cells[3][-2:] == ["12", "31.00 ± 1.41 (30.00, 32.00)"]


def test_check_catches_an_edited_number(page, capfd):
    assert page("report.layers()")[0] == 0
    assert page(None, "--check")[0] == 0
    readme = page.rows / "README.md"
    readme.write_text(edited := readme.read_text().replace("2.50x", "3.50x"))
    assert page(None, "--check")[0] == 1
    assert "3.50x" in capfd.readouterr().out and readme.read_text() == edited


def test_committed_tables_match_the_result_files(capfd):
    assert report.main(["--check"]) == 0, capfd.readouterr().out


def test_exported_layers(page):
    for others, run in ((False, "r1"), (True, "r2")):
        for model, form, dtype, ms in (
            ("LSTM", "LSTM node", "fp32", 4.0),
            ("LiGRU", "Scan", "int8", 1.0),
        ):
            row = {"date": "2026-11-20", "commit": "c", "run": run} | ORIGIN
            row |= {"command": "python -m tool", "others": others}
            row |= {"runtime": "onnxruntime", "model": model, "form": form}
            row |= {"dtype": dtype, "batch": 1, "steps": 100, "threads": 1}
            row |= {"same": "units" if model == "LSTM" else "", "size_mb": 2.5}
            row |= {"p50_ms": ms, "ratio_p50": ms / 4, "difference": "1.5e-02"}
            append_row(page.rows / "deploy.csv", row)
    _, _, cells = page("report.exported(others=False)")
    assert cells[5:-1] == [
        ["onnxruntime", "LSTM, as many units", "LSTM node", "2.5", "4 (1.00x)"],
        ["onnxruntime", "LiGRU", "Scan, int8", "2.5", "1 (0.25x)"],
    ]
    _, _, cells = page("report.exported(others=True)")
    assert cells[6:-1] == [
        ["onnxruntime", "LiGRU", "Scan, int8", "0.015", "2.5", "1"]
    ]
