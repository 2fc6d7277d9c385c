"""The comparison of recurrent layers: plan, skip, means and page."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import ruamel.yaml
import tiny_corpora
from result_rows import rows_file
from tiny_systems import tiny

from benchmarks import (
    commands,
    comparison,
    page,
    recipe_tables,
    recipe_targets,
    recipes,
)
from benchmarks.rows import load
from benchmarks.runs import finished, other_annotation, plan
from speechbrain_ligru_fast.asr.provenance import (
    describe_command,
    describe_device,
)
from speechbrain_ligru_fast.asr.results import append_row, read_rows

ROOT = Path(__file__).parent.parent
TIMIT = tiny("tiny_timit.yaml")
LIBRISPEECH = tiny("tiny_librispeech.yaml")
# Stands for a recipe's YAML, which a plan parses several times in seconds.
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
"""
# What the recipe for LibriSpeech has besides
SETS = """\
test_splits: [test-tiny]
test_annotations: {}
train_annotation: train.json
valid_annotation: valid.json
"""


def keys_file(folder, keys=KEYS):
    path = folder / "keys.yaml"
    path.write_text(keys)
    return path


@pytest.mark.parametrize(
    "path, keys", [(TIMIT, KEYS), (LIBRISPEECH, KEYS + SETS)]
)
def test_the_recipes_have_the_keys(path, keys, tmp_path):
    """And plan the same run, but for its settings."""
    read = ruamel.yaml.YAML().load
    assert set(read(keys)) <= set(read(path.read_text()))
    assert ("test_splits" in read(path.read_text())) == ("test_splits" in keys)
    options = ["--lm_folder", "lm", "--beam_size=3", "--device=cuda:1"]
    want, got = (
        planned(tmp_path, *options, yaml=yaml)
        for yaml in (path, keys_file(tmp_path, keys))
    )
    assert got.arguments[1:] == want.arguments[1:]
    assert (got.splits, got.lm) == (want.splits, want.lm)
    assert got.device == want.device == "cuda"


@pytest.fixture
def command(tmp_path):
    """Arguments of the tool for the TIMIT recipe."""
    corpus = tiny_corpora.make_timit(tmp_path / "TIMIT")
    return [
        *[str(ROOT / "recipes" / "TIMIT"), str(keys_file(tmp_path))],
        *["--data_folder", str(corpus), "--out", str(tmp_path / "out")],
        *["--device", "cpu", "--backend", "torchscript"],
    ]


def test_a_run_its_row_its_page_and_no_second_run(
    command, tmp_path, capsys, monkeypatch
):
    command[1] = str(TIMIT)
    command += ["--systems", "LSTM", "--seeds", "3"]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert recipes.main(command) == 0, capsys.readouterr().out
    out = tmp_path / "out"
    _, (row,) = read_rows(out / "results.csv")
    assert (row["rnn"], row["seed"], row["split"]) == ("LSTM", "3", "test")
    (folder,) = out.glob("LSTM-*-3")
    assert folder.name == f"LSTM-{row['settings']}-3"
    printed = capsys.readouterr().out
    assert f"| {float(row['per']):.2f} |" in printed
    html = (out / "report.html").read_text()
    assert html.count("<img src=") == 3
    assert "MTST0" in html  # a test utterance, aligned

    # Another search of what is trained: a row and a list of its own.
    assert recipes.main([*command, "--test", "beam_size=3"]) == 0
    printed = capsys.readouterr().out
    assert f"1/2 {folder.name}: already done" in printed
    assert f"2/2 {folder.name}: testing in " in printed
    _, (first, other) = read_rows(out / "results.csv")
    assert first == row and other["settings"] != row["settings"]
    assert len(list(folder.glob("texts_test_*.csv"))) == 2
    html = (out / "report.html").read_text()
    assert "<h4>LSTM, torch, --beam_size=3: seed 3</h4>" in html
    assert "<h4>LSTM, torch, no options: seed 3</h4>" in html

    def fail(*arguments, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr(subprocess, "run", fail)
    assert recipes.main(command) == 0
    assert f"1/1 {folder.name}: already done" in capsys.readouterr().out
    # Other settings are another run.
    with pytest.raises(AssertionError, match="trained again"):
        recipes.main([*command, "--number_of_epochs", "3"])


def test_every_system_of_a_seed_before_the_next(command, monkeypatch):
    done = []

    def train(run, recipe, out):
        done.append((run.seed, run.system))
        row = {"settings": run.settings, "seed": run.seed, "split": "test"}
        cells = {"rnn": run.system, "impl": "x", "per": 9, "epoch_s": 1}
        cells |= {"date": "d", "device": "CPU", "corpus": "c", "recipe": "r"}
        cells["command"] = "python train.py --device cpu"
        if run.system != "GRU" or run.seed != 2:
            append_row(out / "results.csv", row | cells | {"lm": "none"})
        return 0

    monkeypatch.setattr(recipes, "train", train)
    command += ["--seeds", "1", "2", "--systems", "stock-LiGRU-jit", "GRU"]
    # A run that left no row failed; the others go on.
    assert recipes.main(command) == 1
    all_runs = [
        (seed, system)
        for seed in (1, 2)
        for system in ("stock-LiGRU-jit", "GRU")
    ]
    assert done == all_runs
    assert recipes.main(command) == 1
    assert done == [*all_runs, (2, "GRU")]
    # Nothing is tested where the training failed.
    done.clear()
    command += ["--test", "beam_size=3", "--test", "beam_size=4"]
    assert recipes.main(command) == 1
    tested = [run for run in all_runs[:-1] for _ in range(2)]
    assert done == [*tested, (2, "GRU")]


@pytest.mark.parametrize("option", ["--data_folder", "recipe"])
def test_what_is_not_there_is_said_first(command, tmp_path, capsys, option):
    at = 0 if option == "recipe" else command.index(option) + 1
    command[at] = str(tmp_path / "none")
    assert recipes.main(command) == 1
    assert "recipes: there is no " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def planned(folder, *rest, yaml=None):
    """The one run that the tool would make."""
    (run,) = planned_all(folder, *rest, yaml=yaml)
    return run


def planned_all(folder, *rest, yaml=None):
    """The runs that the tool would make."""
    data = folder / "corpus"
    data.mkdir(exist_ok=True)
    yaml = yaml or keys_file(folder, KEYS + SETS)
    tool = [str(ROOT / "recipes" / "LibriSpeech"), str(yaml)]
    tool += ["--data_folder", str(data), "--out", str(folder / "out")]
    tool += ["--systems", "SLiGRU", "--seeds", "1"]
    args, rest = recipes._parser().parse_known_args([*tool, *rest])
    args.results = args.out / "results.csv"
    return plan(args, rest)


def row_of(run, split="test-tiny", **cells):
    """A result row of a run, as its recipe would write it."""
    row = {"settings": run.settings, "seed": run.seed, "split": split}
    row |= {"lm": run.lm, "device": "Device", "corpus": "tiny"}
    row["command"] = describe_command(["train.py", *run.arguments])
    return row | cells


def frame(*rows):
    return pd.DataFrame(rows).astype(str)


@pytest.mark.parametrize(
    "option",
    [
        ["--test_splits=[test-a, test-b]"],
        ["--test_splits", "test-a,test-b"],
    ],
)
def test_the_command_line_names_the_test_sets(tmp_path, option):
    run = planned(tmp_path, "--device", "cpu", *option)
    assert run.splits == ("test-a", "test-b")
    one = row_of(run, "test-a")
    assert not finished(run, frame(one))
    assert finished(run, frame(one, row_of(run, "test-b")))
    assert planned(tmp_path).splits == ("test-tiny",)


def test_a_corpus_of_ones_own(tmp_path, monkeypatch):
    """Its rows are found, and are not those of other annotations."""
    monkeypatch.chdir(tmp_path)
    for name in ("train", "dev", "clean", "noisy", "other"):
        (tmp_path / name).mkdir()
    recipe = ROOT / "recipes" / "LibriSpeech"

    def given(train="train", clean="clean"):
        sets = f"--test_annotations={{clean: {clean}, 2: noisy}}"
        own = ["--train_annotation", train, "--valid_annotation=dev", sets]
        return planned(tmp_path, "--device", "cpu", *own)

    run = given()
    assert run.splits == ("clean", "2")
    path = os.path.relpath(tmp_path / "train", recipe)
    assert path in run.arguments
    rows = frame(row_of(run, "clean"), row_of(run, "2"))
    assert finished(run, rows)
    assert other_annotation(run, rows, recipe) is None
    for other in (given(train="other"), given(clean="other")):
        assert other.settings == run.settings
        found = other_annotation(other, rows, recipe)
        assert found and found.endswith(f"and is {tmp_path / 'other'}")
    assert other_annotation(planned(tmp_path), rows, recipe)


def test_what_was_done_on_a_cpu_is_not_done_on_a_gpu(tmp_path):
    on_cpu = planned(tmp_path, "--device", "cpu")
    on_gpu = planned(tmp_path, "--device=cuda:0")
    assert on_gpu.settings == on_cpu.settings
    assert on_cpu.name == f"SLiGRU-{on_cpu.settings}-1"
    assert on_gpu.name == f"{on_cpu.name}-cuda"
    for run, other in ((on_cpu, on_gpu), (on_gpu, on_cpu)):
        assert finished(run, frame(row_of(run)))
        assert not finished(run, frame(row_of(other)))
    # Older rows may not tell: their processor's name does.
    old = row_of(on_cpu, command="python train.py")
    assert not finished(on_cpu, frame(old))
    old["device"] = describe_device("cpu")
    assert finished(on_cpu, frame(old)) and not finished(on_gpu, frame(old))
    # Without the option the row says where it was.
    assert "--device" in planned(tmp_path).arguments


def test_with_a_language_model_is_another_test(tmp_path):
    cpu = ["--device", "cpu"]
    without = planned(tmp_path, *cpu)
    with_lm = planned(tmp_path, *cpu, "--test_only", "--lm_folder", "lm")
    assert with_lm.name == without.name  # the same training
    assert (without.lm, with_lm.lm) == ("none", "lm")
    for run, other in ((without, with_lm), (with_lm, without)):
        assert finished(run, frame(row_of(run)))
        assert not finished(run, frame(row_of(other)))


def test_two_corpora_need_two_names(command, tmp_path, capsys, monkeypatch):
    def train(run, recipe, out):
        monkeypatch.chdir(recipe)  # where the command is run
        append_row(out / "results.csv", row_of(run, "test", recipe="r"))
        (out / run.name).mkdir()
        (out / run.name / "hyperparams.yaml").write_text(
            f"seed: 1\ndata_folder: {option(row_command(run))}\nlr: !ref <x"
        )
        return 0

    def row_command(run):
        return shlex.join(["python", *run.arguments])

    def option(line):
        return commands.option(line, "--data_folder")

    monkeypatch.setattr(recipes, "train", train)
    command += ["--systems", "LSTM", "--seeds", "1"]
    assert recipes.main(command) == 0
    results = tmp_path / "out" / "results.csv"
    other = command.copy()
    other[other.index("--data_folder") + 1] = str(tmp_path / "other")
    (tmp_path / "other").mkdir()
    message = f"was trained on {tmp_path / 'TIMIT'}, not on {tmp_path}/other"
    # By the row, without the folder; and by the folder, without the row.
    (folder,) = results.parent.glob("LSTM-*")
    folder.rename(tmp_path / "away")
    assert recipes.main(other) == 1
    assert message in capsys.readouterr().err
    (tmp_path / "away").rename(folder)
    results.rename(tmp_path / "away.csv")
    assert recipes.main(other) == 1
    assert message in capsys.readouterr().err
    # Another name, or a folder that has moved, is none.
    assert recipes.main([*other, "--corpus", "other"]) == 0
    (tmp_path / "away.csv").rename(results)
    (tmp_path / "TIMIT").rename(tmp_path / "moved")
    other[other.index("--data_folder") + 1] = str(tmp_path / "moved")
    capsys.readouterr()
    assert recipes.main(other) == 0
    assert "already done" in capsys.readouterr().out


@pytest.mark.parametrize(
    "extra, words",
    [
        (["--nosuchkey", "1"], "nosuchkey"),
        (["--seeds", "x"], "invalid int"),
        (["--systems", "Elman"], "invalid choice: 'Elman'"),
        (["--systems", "LSTM:128"], "'LSTM:128' must be NAME or NAME:key="),
        (["--systems", "LSTM:lr=1", "--lr", "2"], "--lr is given twice for LS"),
        (["--systems", "LSTM:seed=1"], "--seed is given to each run by this"),
        (["--seed", "1"], "--seed is given to each run by this tool; use --se"),
        (["--output_folder=x"], "--output_folder is given to .* use --out"),
        (["--results_csv", "x"], "--results_csv is given to .* use --results"),
        (["--rnn_class=x"], "--rnn_class is given to .* use --systems"),
        (["--lr", "[1"], "while parsing"),
    ],
)
def test_bad_arguments(command, extra, words, capsys):
    try:
        status = recipes.main([*command, *extra])
    except SystemExit as stop:
        status = stop.code
    assert status != 0
    assert re.search(words, capsys.readouterr().err)


def test_a_system_with_options_of_its_own(tmp_path):
    own = planned(tmp_path, "--systems", "LSTM:rnn_neurons=8,dropout=0.1")
    assert {"--rnn_neurons=8", "--dropout=0.1"} < set(own.arguments)
    for_all = ["--rnn_neurons", "8", "--dropout", "0.1"]
    same = planned(tmp_path, "--systems", "LSTM", *for_all)
    assert same.name == own.name == f"LSTM-{own.settings}-1"
    other = planned(tmp_path, "--systems", "LSTM")
    assert other.settings != own.settings


def test_paths_are_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noise").mkdir()
    options = ["--noise_folder", "noise", "--lm_folder=noise", "--corpus"]
    options += ["noise", "--tokenizer_file", "elsewhere.model"]
    run = planned(tmp_path, *options)
    recipe = ROOT / "recipes" / "LibriSpeech"
    noise = run.arguments[run.arguments.index("--noise_folder") + 1]
    assert (recipe / noise).resolve() == tmp_path / "noise"
    assert f"--lm_folder={noise}" in run.arguments
    # No path of the current folder: left to the recipe.
    assert {"--corpus", "noise", "elsewhere.model"} < set(run.arguments)
    absolute = planned(tmp_path, "--noise_folder", str(tmp_path / "noise"))
    assert str(tmp_path / "noise") in absolute.arguments


def test_means_over_seeds(tmp_path):
    path = rows_file(
        tmp_path / "rows.csv",
        rnn=["LiGRU", "LiGRU", "LSTM", "LiGRU"],
        seed=[1, 2, 1, 1],
        settings=["a", "a", "b", "a"],
        wer=[50, 10, 9.5, 8],  # the first was run again
        epoch_s=[20, 30, 50, 10],
    )
    ligru, lstm = comparison.cells(comparison.means(load(path)))
    assert dict(zip(comparison.HEADER, ligru)) == {
        "corpus": "AN4",
        "split": "test",
        "recipe": "r",
        "layer": "LiGRU",
        "by": "numba",
        "LM": "none",
        "epochs": "",
        "options": "",
        "settings": "a",
        "seeds": "2",
        "WER %": "9.00 ± 1.41",
        "CER %": "",
        "PER %": "",
        "s/epoch": "20.0",
        "RTF": "",
        "peak MiB": "",
        "parameters": "",
        "device": "CPU",
    }
    assert lstm[3:11] == ["LSTM", "numba", "none", "", "", "b", "1", "9.50"]


TRAINED = "python train.py a.yaml --output_folder x/LiGRU-1f62221e-1"
WITH_LM = f"{TRAINED} --test_only --lm_folder lm"


def test_a_later_test_hides_nothing_that_was_measured(tmp_path):
    path = rows_file(
        tmp_path / "rows.csv",
        **{"rnn": ["LiGRU"] * 2, "seed": [1] * 2, "settings": ["a"] * 2},
        **{"wer": [9, 8], "peak_mb": [2195, ""], "command": [TRAINED] * 2},
    )
    (row,) = comparison.cells(comparison.means(load(path)))
    assert dict(zip(comparison.HEADER, row))["peak MiB"] == "2195"
    assert "8.00" in row


def test_time_and_beginning_are_the_trainings(tmp_path):
    path = rows_file(
        tmp_path / "rows.csv",
        rnn=["LiGRU"] * 5,
        seed=[1, 1, 1, 2, 1],
        settings=["1f62221e", "e77148e2", "0c911f14", "1f62221e", "1f62221e"],
        lm=["none", "lm", "other", "none", "none"],
        threads=[1, 1, 1, 1, 2],
        epoch_s=[65, 69, "", 10, 5],
        wer=[9, 8, 7, 6, 5],
        # What a test alone was computed from is not what was trained from.
        commit=["c1", "unknown..c2", "c3", "unknown..c4", "unknown..c5"],
        command=[TRAINED, WITH_LM, WITH_LM, TRAINED[:-1] + "2", TRAINED],
    )
    rows = comparison.repetitions(load(path))
    assert rows["epoch_s"].tolist() == [69, 69, 69, 10, 5]
    commits = ["c1", "c1..c2", "c3", "unknown..c4", "unknown..c5"]
    assert rows["commit"].tolist() == commits


def test_two_beginnings_of_one_name_are_none(tmp_path):
    path = rows_file(
        tmp_path / "rows.csv",
        **{"rnn": ["LiGRU"] * 3, "seed": [1] * 3, "settings": list("aab")},
        **{"lm": ["none", "x", "y"], "epoch_s": [3] * 3, "wer": [9, 8, 7]},
        commit=["c1", "c2..c3", "unknown..c4"],
        command=[TRAINED, TRAINED, WITH_LM],
    )
    rows = comparison.repetitions(load(path))
    assert rows["commit"].tolist() == ["c1", "c2..c3", "unknown..c4"]


def test_options_of_all_systems_stand_above_them(tmp_path):
    lists = "--dev_speakers A,B --test_speakers C"
    every = f"python train.py a.yaml --corpus x --lr 0.1 {lists}"
    path = rows_file(
        tmp_path / "rows.csv",
        **{"rnn": ["LiGRU", "GRU", "LSTM"], "seed": [1] * 3},
        **{"corpus": ["x", "x", "y"], "wer": [7, 8, 9]},
        command=[every, f"{every} --rnn_neurons=8", "python train.py a.yaml"],
    )
    data = SimpleNamespace(recipes=load(path))
    text = recipe_tables.results(data, "r")
    assert text.splitlines()[:3] == [
        "Options that all systems of a corpus were given:",
        "",
        "- r on x: `--lr=0.1 --dev_speakers=A,B --test_speakers=C`",
    ]
    assert "LiGRU | numba | none |  |" in text
    assert "GRU | numba | none | `--rnn_neurons=8` |" in text
    text = recipe_tables.systems(data)
    assert "- r on x: `--lr=0.1 --dev" in text and "| --rnn_neurons=8 |" in text
    assert text.count("--lr=0.1") == text.count("A,B") == 1


def test_speakers_are_no_systems_own(tmp_path):
    every = "python train.py a.yaml --lr 0.1"
    path = rows_file(
        tmp_path / "rows.csv",
        **{"rnn": ["LiGRU"] * 2, "seed": [1, 1234], "wer": [7, 9]},
        command=[every, f"{every} --dev_speakers A,B"],
    )
    data = SimpleNamespace(recipes=load(path))
    text = recipe_tables.results(data, "r")
    assert "- r on AN4: `--lr=0.1 --dev_speakers=A,B`" in text
    assert "|  |  | 2 | 8.00 ± 1.41 |" in text


@pytest.mark.parametrize(
    "content, message",
    [
        (b"seed,wer\n1,9,8\n", "rows.csv, line 2: 3 cells for 2 columns"),
        (b"seed,wer\n1,9\n1\n", "rows.csv, line 3: 1 cells for 2 columns"),
        (b"seed,wer\n1,9\n2,x9\n", "rows.csv, line 3: wer .* got 'x9'"),
        (b"seed,wer\n1,\xff\n", "rows.csv is no CSV"),
    ],
)
def test_damaged_result_files(content, message, command, tmp_path, capsys):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load(path)
    # The tools say so before they train, or write a page.
    command += ["--systems", "LSTM", "--seeds", "1", "--results", str(path)]
    assert recipes.main(command) == 1
    assert re.search(f"^recipes: .*{message}", capsys.readouterr().err)
    out = tmp_path / "report.html"
    assert page.main([str(path), str(tmp_path), "--out", str(out)]) == 1
    assert re.search(f"^page: .*{message}", capsys.readouterr().err)
    assert path.read_bytes() == content and not out.exists()


def test_old_result_files(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("")
    assert load(path).empty
    path.write_text("seed,wer,epoch_s\n2,9.5,nan\n1,,3\n")
    rows = load(path)  # without dates, in the file's order
    assert rows["seed"].tolist() == ["2", "1"]
    assert rows["wer"].isna().tolist() == [False, True]
    assert rows["epoch_s"].isna().tolist() == [True, False]


def test_a_seed_tested_elsewhere_hides_no_others(tmp_path):
    path = rows_file(
        tmp_path / "rows.csv",
        rnn=["LiGRU"] * 4,
        seed=[1, 2, 3, 1],
        threads=[1, 1, 1, 2],
        wer=[6, 7, 8, 9],
    )
    table = recipe_tables.results(SimpleNamespace(recipes=load(path)), "r")
    assert "| 3 | 7.00 ± 1.00 |" in table and "9.00" not in table


def test_other_settings_are_another_line(tmp_path):
    path = rows_file(
        tmp_path / "rows.csv",
        rnn=["LiGRU"] * 4,
        seed=[1] * 4,
        settings=["", "1f62221e", "99a2e255", "1f62221e"],
        wer=[9, 8, 7, 6],
        commit=["c1", "c2", "c3", "c4"],
        command=["python train.py"] * 4,
    )
    data = SimpleNamespace(recipes=load(path))
    _, _, *lines = recipe_tables.recipes(data).splitlines()
    assert [
        (line.split(" | ")[6], line.split(" | ")[10]) for line in lines
    ] == [
        ("", "9"),
        ("99a2e255", "7"),
        ("1f62221e", "6"),  # the second was run again
    ]
    assert "| 99a2e255 | 1 | 7.00 |" in recipe_tables.systems(data)


def test_a_test_may_change_an_option_of_its_training(tmp_path):
    option = ["--beam_size", "5"]
    training, test = planned_all(tmp_path, *option, "--test", "beam_size=3")
    assert "5" in training.arguments and "5" not in test.arguments
    assert {"--beam_size=3", "--test_only"} < set(test.arguments)
    assert test.name == training.name and test.settings != training.settings


def test_what_a_command_gives():
    flag = commands.parse("python train.py --jit a.yaml --lr 1")
    assert flag == ("a.yaml", {"--jit": None, "--lr": "1"})
    _, options = commands.parse("python train.py a --jit_module_keys b c --x=")
    assert options == {"--jit_module_keys": "b c", "--x": ""}


@pytest.mark.parametrize("key", comparison.MANIFESTS)
def test_other_data_is_another_system(tmp_path, key):
    rows = {
        **{"rnn": ["LiGRU"] * 3, "seed": [1, 1, 2], "settings": ["a"] * 3},
        **{"wer": [50, 10, 20], "epochs": [3] * 3, "params": [9] * 3},
        **{"command": ["python train.py a.yaml"] * 3, "epoch_s": [1] * 3},
        key: ["", "1111aaaa", "1111aaaa"],  # the first is of an older version
    }
    found = load(rows_file(tmp_path / "rows.csv", **rows))
    # None takes the other's place, none is averaged with the other.
    assert comparison.means(found)["wer"].tolist() == [15, 50]
    table = recipe_tables.results(SimpleNamespace(recipes=found), "r")
    assert "| AN4 (1111aaaa) |" in table and "| AN4 |" in table
    groups = recipe_targets.systems(comparison.repetitions(found))
    assert sorted(map(len, groups)) == [1, 2]
