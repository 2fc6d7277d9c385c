"""The comparison of recurrent layers: plan, skip, resume, table and page."""

import json
import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny_corpora
from tiny_systems import tiny

from benchmarks import page, recipes, systems
from speechbrain_ligru_fast.training.provenance import describe_command
from speechbrain_ligru_fast.training.results import append_row, read_rows

ROOT = Path(__file__).parents[2]
# Stands for a recipe's YAML, which takes seconds to parse.
KEYS = """\
seed: 1
corpus: tiny
output_folder: !ref results/<seed>
results_csv: !ref <output_folder>/results.csv
data_folder: !PLACEHOLDER
noise_folder: null
lm_folder: null
tokenizer_file: null
number_of_epochs: 2
lr: 0.1
dropout: 0.2
rnn_class: !PLACEHOLDER
backend: auto
rnn_neurons: 16
beam_size: 2
test_splits: [test]
test_annotations: {}
train_annotation: train.json
valid_annotation: valid.json
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Arguments of the tool, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys.yaml").write_text(KEYS)
    (tmp_path / "corpus").mkdir()
    return [
        *[str(ROOT / "recipes" / "LibriSpeech"), str(tmp_path / "keys.yaml")],
        *["--data_folder", "corpus", "--out", "out"],
        *["--systems", "SLiGRU", "--seeds", "1"],
    ]


def plan(command, *words):
    """The runs that the tool would make."""
    args, rest = recipes._parser().parse_known_args([*command, *words])
    return recipes.plan(args, rest)


def row_of(run, split="test", **cells):
    """A result row of a run, as its recipe would write it."""
    given = describe_command(["train.py", *run.arguments])
    given += f" --output_folder=../../{run.name} --results_csv=x"
    row = {"date": "d", "device": "CPU", "threads": 1, "corpus": "tiny"}
    row |= {"recipe": "r", "rnn": run.name.split("-")[0], "impl": "numba"}
    row |= {"lm": "none", "settings": "a", "seed": run.name.split("-")[2]}
    return row | {"split": split, "command": given, "wer": 9} | cells


def rows_of(tmp_path, *rows):
    path = tmp_path / "rows.csv"
    path.unlink(missing_ok=True)
    for row in rows:
        append_row(path, row)
    return systems.load(path)


def test_a_run_its_row_its_page_and_no_second_run(
    tmp_path, capsys, monkeypatch
):
    corpus = tiny_corpora.make_timit(tmp_path / "TIMIT")
    command = [str(ROOT / "recipes" / "TIMIT"), str(tiny("tiny_timit.yaml"))]
    command += ["--data_folder", str(corpus), "--out", str(tmp_path / "out")]
    command += ["--device", "cpu", "--backend", "torchscript"]
    command += ["--systems", "LSTM", "--seeds", "3"]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert recipes.main(command) == 0, capsys.readouterr().out
    out = tmp_path / "out"
    _, (row,) = read_rows(out / "results.csv")
    assert (row["rnn"], row["seed"], row["split"]) == ("LSTM", "3", "test")
    (folder,) = out.glob("LSTM-*-3")
    assert f"{float(row['per']):.2f} (one seed)" in capsys.readouterr().out
    html = (out / "report.html").read_text()
    assert "minutes of training" in html and "LSTM, torch" in html

    # Another search of what is trained: a row of its own.
    assert recipes.main([*command, "--test", "beam_size=3"]) == 0
    printed = capsys.readouterr().out
    assert f"1/2 {folder.name}: already done" in printed
    assert f"2/2 {folder.name}: testing in " in printed
    _, (first, other) = read_rows(out / "results.csv")
    assert first == row and "--beam_size=3" in other["command"]

    def fail(*arguments, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr(subprocess, "run", fail)
    assert recipes.main([*command, "--test", "beam_size=3"]) == 0
    assert capsys.readouterr().out.count("already done") == 2
    # Other options are another run.
    with pytest.raises(AssertionError, match="trained again"):
        recipes.main([*command, "--number_of_epochs", "3"])


def test_every_system_of_a_seed_before_the_next(command, monkeypatch, capsys):
    done = []

    def train(run, args):
        name, _, seed = run.name.rpartition("-")
        done.append((int(seed), name.rpartition("-")[0]))
        if done[-1] != (2, "GRU"):
            append_row(args.results, row_of(run))
        else:
            (args.out / run.name).mkdir(parents=True, exist_ok=True)
            log = args.out / run.name / "output.txt"
            log.write_text("Epoch\nValueError: no\n\n")
        return 0

    monkeypatch.setattr(recipes, "train", train)
    command += ["--seeds", "1", "2", "--systems", "stock-LiGRU-jit", "GRU"]
    # A run that left no row failed; the others go on.
    assert recipes.main(command) == 1
    assert "FAILED (exit status 0): ValueError: no" in capsys.readouterr().out
    pairs = [(n, name) for n in (1, 2) for name in ("stock-LiGRU-jit", "GRU")]
    assert done == pairs
    assert recipes.main(command) == 1
    assert done == [*pairs, (2, "GRU")]
    # Nothing is tested where the training failed.
    done.clear()
    command += ["--test", "beam_size=3", "--test", "beam_size=4"]
    assert recipes.main(command) == 1
    assert done == [run for run in pairs[:-1] for _ in range(2)] + [pairs[-1]]


def test_a_run_is_done_when_every_test_set_has_its_row(command, tmp_path):
    (run,) = plan(command, "--test_splits", "a,b")
    assert run.splits == {"a", "b"}
    assert not run.finished(rows_of(tmp_path, row_of(run, "a")))
    done = rows_of(tmp_path, row_of(run, "a"), row_of(run, "b"))
    assert run.finished(done) and not plan(command)[0].finished(done)
    own = ["--lr", "1", "--test_annotations={mine: corpus, 2: x.csv}"]
    (own,) = plan(command, *own)
    assert own.splits == {"mine", "2"}


@pytest.mark.parametrize(
    "other",
    [
        *(["--device", "cuda:0"], ["--data_folder", "b"], ["--lr", "0.2"]),
        *(["--train_annotation", "b"], ["--systems", "SLiGRU:lr=0.2"]),
    ],
    ids=" ".join,
)
def test_what_differs_is_another_run(command, tmp_path, other):
    (tmp_path / "b").mkdir()
    (run,), (another,) = plan(command), plan(command, *other)
    assert run.name != another.name
    rows = rows_of(tmp_path, row_of(run))
    assert run.finished(rows) and not another.finished(rows)


def test_an_edited_yaml_is_another_run(command, tmp_path):
    (run,) = plan(command)
    yaml = tmp_path / "keys.yaml"
    yaml.write_text("# said\n" + KEYS.replace("lr: 0.1", "lr: 0.1  # said"))
    assert plan(command) == [run]
    yaml.write_text(KEYS.replace("lr: 0.1", "lr: 0.2"))
    (other,) = plan(command)
    assert not other.finished(rows_of(tmp_path, row_of(run)))


def test_a_test_is_of_its_training(command, tmp_path):
    training, test = plan(
        command, "--beam_size", "5", "--test", "beam_size=3,lm_folder=corpus"
    )
    assert test.name == training.name and test.tests and not training.tests
    assert "--beam_size=5" in training.arguments
    assert {"--beam_size=3", "--test_only"} < set(test.arguments)
    rows = rows_of(tmp_path, row_of(training))
    assert training.finished(rows) and not test.finished(rows)


def test_paths_are_of_the_current_folder(command, tmp_path):
    recipe = ROOT / "recipes" / "LibriSpeech"
    (run,) = plan(
        command,
        *["--noise_folder", "corpus", "--corpus", "corpus"],
        *["--tokenizer_file", "elsewhere.model"],
        '--test_annotations={"a": "corpus"}',
    )
    given = systems.by_name(run.arguments[1:])
    seen = os.path.relpath(tmp_path / "corpus", recipe)
    assert given["--noise_folder"] == given["--data_folder"] == [seen]
    assert json.loads(given["--test_annotations"][0]) == {"a": seen}
    # No path of the current folder: left to the recipe.
    assert given["--tokenizer_file"] == ["elsewhere.model"]
    assert given["--corpus"] == ["corpus"]
    absolute = plan(command, "--noise_folder", str(tmp_path / "corpus"))
    assert f"--noise_folder={tmp_path / 'corpus'}" in absolute[0].arguments


@pytest.mark.parametrize(
    "extra, words",
    [
        (["--nosuchkey", "1"], "nosuchkey"),
        (["--seeds", "x"], "invalid int"),
        (["--systems", "Elman"], "invalid choice: 'Elman'"),
        (["--systems", "LSTM:128"], "'128' must be key=value,key=value"),
        (["--systems", "LSTM:lr=1", "--lr", "2"], "--lr is given twice for LS"),
        (["--systems", "LSTM:seed=1"], "--seed is given to each run by this"),
        (["--output_folder=x"], "--output_folder is given to .* use --out"),
        (["--results_csv", "x"], "--results_csv is given to .* use --results"),
        (["--rnn_class=x"], "--rnn_class is given to .* use --systems"),
        (["--lr", "[1"], "while parsing|parse"),
        (["--data_folder", "none"], "recipes: there is no none"),
    ],
)
def test_bad_arguments(command, extra, words, capsys, tmp_path):
    try:
        status = recipes.main([*command, *extra])
    except SystemExit as stop:
        status = stop.code
    assert status != 0
    assert re.search(words, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content, message",
    [
        (b"seed,wer\n1,9,8\n", "rows.csv, line 2: 3 cells for 2 columns"),
        (b"seed,wer\n1,9\n1\n", "rows.csv, line 3: 1 cells for 2 columns"),
        (b"seed,wer\n1,9\n2,x9\n", "rows.csv, line 3: wer .* got 'x9'"),
        (b"seed,wer\n1,\xff\n", "rows.csv is no CSV"),
        (b"seed,command\n1,t.py --a 'b\n", "command of a row, .*No closing"),
    ],
)
def test_damaged_result_files(content, message, command, tmp_path, capsys):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    assert recipes.main([*command, "--results", str(path)]) == 1
    assert re.search(f"^recipes: .*{message}", capsys.readouterr().err)
    assert path.read_bytes() == content and not (tmp_path / "out").exists()


def test_old_and_empty_result_files(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("")
    assert systems.table(systems.systems(systems.load(path))).empty
    path.write_text("seed,wer,epoch_s\n2,9.5,nan\n1,,3\n")
    rows = systems.load(path)
    assert rows["wer"].isna().tolist() == [False, True]
    assert rows["epoch_s"].isna().tolist() == [True, False]


def test_means_over_seeds(command, tmp_path):
    (ligru,), (lstm,) = plan(command), plan(command, "--systems", "LSTM:lr=1")
    rows = rows_of(
        tmp_path,
        row_of(ligru, wer=50, peak_mb=7, seed=1),
        row_of(ligru, wer=10, epoch_s=30, seed=2),
        row_of(lstm, wer=9.5, settings="b"),
        # The first was tested again, which measured less.
        row_of(ligru, wer=8, epoch_s=10, peak_mb="", seed=1),
        # Other data, told by its manifest, is another system.
        row_of(ligru, wer=1, test_manifest="1111aaaa", seed=3),
    )
    table = systems.table(systems.systems(rows))
    assert table["wer"].tolist() == [
        "1.00 (one seed)",
        "9.00 ± 1.41 (8.00, 10.00)",
        "9.50 (one seed)",
    ]
    assert table["epoch_s"].tolist() == ["", "20", ""]
    assert table["peak_mb"].tolist() == ["", "7", ""]
    assert table["options"].tolist() == ["", "", "--lr 1"]
    assert "cer" not in table and "threads" in table


LINE = (
    "epoch: {}, lr: 1e-03{} - train loss: 3, train s: 60 - valid loss: 2, "
    "valid WER: {}\n"
)


def test_the_page(command, tmp_path, monkeypatch):
    runs = plan(command, "--systems", "LiGRU", "GRU", "LSTM", "--seeds", "1")
    rows = [row_of(run, epoch_s=3) for run in runs]
    # A later test of what was trained once, and what nobody timed
    rows += [row_of(runs[0], lm="<b>", wer=8), row_of(runs[2], settings="c")]
    rows_of(tmp_path, *rows)
    for run, elapsed in zip(runs, (", elapsed s: 90", "", None)):
        (tmp_path / run.name).mkdir()
        log = LINE.format(1, elapsed, 95) + LINE.format(2, elapsed, 80)
        log = log if elapsed is not None else "test loss: 1\n"
        (tmp_path / run.name / "train_log.txt").write_text(log)
    drawn = []
    genuine = page.Figure.subplots
    monkeypatch.setattr(
        page.Figure,
        "subplots",
        lambda self: drawn.append(found := genuine(self)) or found,
    )
    out = tmp_path / "a" / "report.html"
    page.write(tmp_path / "rows.csv", tmp_path, out)
    html = out.read_text()
    assert "&lt;b&gt;" in html and "<b>" not in html
    # Nothing is loaded from anywhere.
    assert not re.findall(r"(?:src|href)=\"(?!#)", html.replace("xlink:", ""))
    (curves,) = drawn
    found = {line.get_xydata()[-1].tolist()[0] for line in curves.lines}
    assert found == {1.5, 2.0} and len(curves.lines) == 2


def test_an_epoch_that_was_repeated_counts_once(tmp_path):
    path = tmp_path / "train_log.txt"
    lines = (1, "", 95), (2, "", 90), (2, "", 85), (3, ", elapsed s: 9", 80)
    path.write_text("".join(LINE.format(*line) for line in lines))
    log = page.read_log(path)
    assert log["valid WER"].tolist() == [95, 85, 80]
    # Not every line tells of validation.
    assert log["minutes"].tolist() == [1, 2, 3]


def test_make_compare_names_what_there_is():
    make = (ROOT / "Makefile").read_text()
    (asked,) = re.findall(r"^COMPARE_SYSTEMS \?= (.*)$", make, re.M)
    (single,) = re.findall(r"^COMPARE_ONE_SEED \?= (.*)$", make, re.M)
    assert {*asked.split(), *single.split()} <= set(recipes.SYSTEMS)
    args = SimpleNamespace(yaml=ROOT / "hparams" / "demo" / "timit.yaml")
    assert args.yaml.exists() and "python -m benchmarks.recipes" in make
