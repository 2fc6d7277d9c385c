"""What a run's rows claim, what they survive, and what it may go on with."""

import json
import re
import shutil
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest
from speechbrain.utils.train_logger import (
    FileTrainLogger,
    ProgressSampleLogger,
    TensorboardLogger,
    WandBLogger,
)

from benchmarks import comparison
from benchmarks.rows import load
from speechbrain_ligru_fast.asr import experiment, history, results
from speechbrain_ligru_fast.asr.brain import ASR
from speechbrain_ligru_fast.asr.origin import check_data, check_origin
from speechbrain_ligru_fast.asr.results import check_results, read_rows
from speechbrain_ligru_fast.asr.train_logger import (
    check_logger,
    log_epoch,
    log_test,
)

QUIET = ["--device", "cpu", "--noprogressbar", "--backend", "torchscript"]


class Writer:
    """Tensorboard's, as strict as it."""

    def __init__(self, save_dir):
        self.values = {}

    def add_scalar(self, name, value, step):
        self.values[name, step] = float(value)


@pytest.fixture
def tensorboard(monkeypatch):
    """A stand-in: it is none of our dependencies."""
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
def again(recipe, trained_librispeech, librispeech, tmp_path):
    """Runs the recipe in a copy of what is trained; returns the folder."""
    folder = tmp_path / "asr"
    shutil.copytree(trained_librispeech, folder)

    def run(*arguments, data=librispeech):
        if "--number_of_epochs" not in arguments:
            arguments += ("--number_of_epochs", "1")
        recipe(
            "LibriSpeech/train.py",
            "tiny_librispeech.yaml",
            *["--data_folder", data, "--output_folder", folder, *QUIET],
            *arguments,
        )
        return rows(folder)

    run.folder = folder
    return run


def rows(folder):
    return read_rows(folder / "results.csv")[1]


def other_corpus(librispeech, folder, split):
    """A copy in which an utterance of a split says something else."""
    shutil.copytree(librispeech, folder)
    (path,) = (folder / split).rglob("*.trans.txt")
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join([first.split()[0] + " SEVEN\n", *rest]))
    return folder


def saved(folder):
    """What the training reads, and its record."""
    return {
        path.name: path.read_bytes()
        for path in (folder / "save").glob("*.json")
    }


def test_a_training_on_other_data_is_refused(again, librispeech, tmp_path):
    before = saved(again.folder)
    for split, name in (("train-tiny", "train"), ("dev-tiny", "valid")):
        other = other_corpus(librispeech, tmp_path / split, split)
        words = f"on other data: its {name} manifest \\(.{{8}}, now .{{8}}\\)"
        with pytest.raises(ValueError, match=words + " has other utterances"):
            again("--number_of_epochs", "2", data=other)
        assert saved(again.folder) == before
    # The same corpus elsewhere is no other one; nor is another test set.
    moved = other_corpus(librispeech, tmp_path / "moved", "test-tiny")
    (first,) = rows(again.folder)
    second = again("--number_of_epochs", "2", data=moved)[1]
    assert second["epochs"] == "2" and second["changes"] == ""
    for key in ("train_manifest", "valid_manifest"):
        assert first[key] == second[key] != ""
    assert first["test_manifest"] != second["test_manifest"]


def test_other_data_is_gone_on_with_if_asked(again, librispeech, tmp_path):
    """With the tokenizer that was trained with, whatever it came from."""
    tokenizer = (again.folder / "save/tokenizer.model").read_bytes()
    other = other_corpus(librispeech, tmp_path / "other", "train-tiny")
    longer = ("--number_of_epochs", "2", "--allow_changes", "True")
    first, row = again(*longer, data=other)
    assert row["changes"].startswith("train_manifest: ")
    assert row["settings"] != first["settings"]
    # A test claims no other.
    tested = again(*longer, "--test_only")[-1]
    for key in ("settings", "changes", "train_manifest"):
        assert tested[key] == row[key]
    assert (again.folder / "save/tokenizer.model").read_bytes() == tokenizer


def test_a_test_on_other_data_leaves_the_training_alone(
    again, librispeech, tmp_path
):
    before = saved(again.folder)
    other = other_corpus(librispeech, tmp_path / "other", "test-tiny")
    # Where there is nothing but a test set, too.
    shutil.rmtree(other / "train-tiny")
    shutil.rmtree(other / "dev-tiny")
    again("--test_only")
    first, same, second = again("--test_only", data=other)
    assert saved(again.folder) == before
    assert (again.folder / "test_only" / "test-tiny.json").exists()
    assert first["test_manifest"] == same["test_manifest"]
    assert second["test_manifest"] not in ("", first["test_manifest"])
    assert second["train_manifest"] == first["train_manifest"]
    # Both tests' files and figures are there.
    assert len(list(again.folder.glob("texts_*.csv"))) == 3
    found = comparison.means(load(again.folder / "results.csv"))
    tested = {first["test_manifest"], second["test_manifest"]}
    assert set(found["test_manifest"]) == tested


def test_what_is_computed_may_change_on_the_way(again):
    (first,) = rows(again.folder)
    with pytest.raises(ValueError, match="with other lr. Give") as caught:
        again("--number_of_epochs", "2", "--lr", "0.5")
    assert "--allow_changes True goes on" in str(caught.value)
    assert "(lr: 0.002 to 0.5)" in str(caught.value)
    given = ["--batch_size", "2", "--precision", "bf16"]
    # Nothing was trained with the first of these.
    again("--batch_size", "3", "--number_of_epochs", "1")
    row = again("--number_of_epochs", "2", *given)[-1]
    assert row["changes"] == (
        "batch_size: 4 to 2, --precision: none to bf16 from epoch 2"
    )
    again("--number_of_epochs", "3", *given, "--lr", "0.5", "--allow_changes=1")
    last = rows(again.folder)[-1]
    assert last["changes"] == f"{row['changes']}; lr: 0.002 to 0.5 from epoch 3"
    assert len({first["settings"], row["settings"], last["settings"]}) == 3
    # A test claims no other.
    tested = again("--number_of_epochs", "3", *given, "--lr=0.5", "--test_only")
    assert tested[-1]["settings"] == last["settings"]


def test_a_test_that_fails_does_not_cost_the_others(
    again, librispeech, tmp_path, monkeypatch
):
    corpus = tmp_path / "corpus"
    shutil.copytree(librispeech, corpus)
    shutil.copytree(corpus / "test-tiny", corpus / "eval" / "clean")
    genuine = ASR.evaluate
    calls = []

    def evaluate(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == 1:
            raise RuntimeError("out of memory")
        return genuine(self, *args, **kwargs)

    monkeypatch.setattr(ASR, "evaluate", evaluate)
    words = "failed: the test of test-tiny .RuntimeError: out of memory.. All"
    arguments = ["--test_splits=[test-tiny, eval/clean]", "--test_only"]
    with pytest.raises(RuntimeError, match=words):
        again(*arguments, data=corpus)
    assert [row["split"] for row in rows(again.folder)] == [
        "test-tiny",
        "eval/clean",
    ]
    (path,) = again.folder.glob("texts_eval-clean_*.csv")

    # Each of the steps on its own.
    def fail(*args):
        raise OSError(28, "No space left on device")

    export = again.folder / "export" / "enc.ckpt"
    export.unlink()
    path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "log_test", fail)
        patch.setattr(experiment, "_write", fail)
        patch.setattr(results, "append_row", _unless(fail, "results.csv"))
        with pytest.raises(RuntimeError) as caught:
            again("--test_splits=[eval/clean]", "--test_only", data=corpus)
    for what in ("result row", "files", "train_logger's entry"):
        assert f"the {what} of eval/clean (OSError" in str(caught.value)
    assert export.exists()
    _, (kept,) = read_rows(again.folder / "unwritten_rows.csv")
    assert kept["split"] == "eval/clean" and kept["wer"]


def _unless(fail, name, genuine=results.append_row):
    def append(path, row):
        return fail() if str(path).endswith(f"/{name}") else genuine(path, row)

    return append


def test_what_would_fail_at_the_end_is_found_before(
    again, librispeech, tmp_path, monkeypatch
):
    corpus = tmp_path / "corpus"
    shutil.copytree(librispeech, corpus)
    for name in ("a/b", "a-b"):
        shutil.copytree(corpus / "test-tiny", corpus / name)
    monkeypatch.setattr(ASR, "fit", None)
    with pytest.raises(ValueError, match="files of a-b and a/b would have one"):
        again("--test_splits=[a/b, a-b]", data=corpus)
    long = "x" * 230
    shutil.copytree(corpus / "test-tiny", corpus / long)
    with pytest.raises(ValueError, match="files of x+ can't be written"):
        again(f"--test_splits=[{long}]", data=corpus)
    (tmp_path / "file").write_text("no folder")
    for csv in (tmp_path, tmp_path / "file" / "rows.csv"):
        with pytest.raises(ValueError, match="results_csv: rows can't be adde"):
            again("--results_csv", csv)
    with pytest.raises(ValueError, match="results_csv: got none"):
        again("--results_csv", "null")
    with pytest.raises(ValueError, match="train_logger: got None"):
        again("--train_logger", "null")
    usage = SimpleNamespace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(OSError, match="0 MiB of free space, but two checkpo"):
        again("--number_of_epochs", "2")
    assert len(rows(again.folder)) == 1


def test_without_a_test(again):
    again("--number_of_epochs", "2", "--test_splits=[]")
    assert len(rows(again.folder)) == 1
    with pytest.raises(ValueError, match="test_splits: got none, expected one"):
        again("--test_splits=[]", "--test_only")


def test_debug_leaves_what_is_trained_alone(again, librispeech, tmp_path):
    before = saved(again.folder)
    other = other_corpus(librispeech, tmp_path / "other", "train-tiny")
    again("--debug", data=other)
    assert saved(again.folder) == before


def test_every_logger_of_speechbrains(tmp_path, tensorboard):
    logged = []
    run = SimpleNamespace(
        log=lambda x, step=None: logged.append(json.loads(json.dumps(x)))
    )
    loggers = [
        FileTrainLogger(tmp_path / "log.txt"),
        TensorboardLogger(tmp_path),
        WandBLogger(lambda: run),
    ]
    for train_logger in loggers:
        check_logger(train_logger)
        for epoch in (1, 2):
            meta = {"epoch": epoch, "lr": 0.1, "elapsed s": "12.5"}
            log_epoch(train_logger, meta, {"loss": 1.0}, {"WER": 9.0})
        for split in ("clean", "other"):
            meta = {"lm": "none", "epochs": 2}
            log_test(train_logger, split, meta, {"loss": 1.0, "WER": 8.0})
    file, board, _ = loggers
    assert (
        "split: other, lm: none, epochs: 2 - test loss: 1.00e+00, test W"
        in ((tmp_path / "log.txt").read_text())
    )
    assert board.writer.values["elapsed s", 2] == 12.5
    assert board.writer.values["other WER/test", 1] == 8.0
    assert logged[0]["valid"] == {"WER": 9.0}
    assert logged[3]["test"] == {"other loss": 1.0, "other WER": 8.0}
    for other in (ProgressSampleLogger(tmp_path), None, 3):
        with pytest.raises(
            ValueError, match="train_logger: got .*, expected a"
        ):
            check_logger(other)


def test_a_logger_that_fails_costs_no_training(caplog):
    def fail(**stats):
        raise ConnectionError("no route to host")

    log_epoch(SimpleNamespace(log_stats=fail), {"epoch": 1}, {"loss": 2.5}, {})
    assert "no route to host" in caplog.text and "2.5" in caplog.text


def test_changes_without_training_are_none(tmp_path):
    check_origin(tmp_path, {"batch_size": "8", "lr": "1"})
    check_data(tmp_path, {"train": "a", "valid": "b"})
    (tmp_path / "CKPT+1").mkdir()
    check_origin(tmp_path, {"batch_size": "4", "lr": "1"})
    assert history.read_changes(tmp_path) == "batch_size: 8 to 4 from epoch 1"
    check_origin(tmp_path, {"batch_size": "2", "lr": "1"})
    assert history.read_changes(tmp_path) == "batch_size: 8 to 2 from epoch 1"
    check_origin(tmp_path, {"batch_size": "8", "lr": "1"})
    assert history.read_changes(tmp_path) == ""
    other = {"train": "c", "valid": "b"}
    with pytest.raises(ValueError, match="its train manifest .a, now c. has"):
        check_data(tmp_path, other)
    check_data(tmp_path, other, allow_changes=True)
    assert "train_manifest: a to c from" in history.read_changes(tmp_path)
    check_data(tmp_path, other)


def test_a_result_file_is_made_where_its_folder_is_not(tmp_path):
    path = tmp_path / "a" / "rows.csv"
    check_results(path)
    assert not path.exists() and path.parent.is_dir()
    assert not re.findall("rows", " ".join(map(str, path.parent.iterdir())))


@pytest.mark.parametrize(
    "given, words",
    [
        (["--beam_size", "0"], "_search can't work as it is set .*"),
        (["--ctc_weight_decode", "2"], "_search can't|ctc_weight"),
    ],
)
def test_a_search_is_tried_before_the_training(
    again, given, words, monkeypatch
):
    monkeypatch.setattr(ASR, "fit", None)
    with pytest.raises(ValueError, match=words):
        again(*given, "--test_only")


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "origin", "train"])
def test_a_test_set_is_in_the_data_folder(again, name):
    before = saved(again.folder)
    with pytest.raises(ValueError, match="test_splits: got .*expected the"):
        again(f"--test_splits=[{name}]", "--test_only")
    assert saved(again.folder) == before


def test_a_language_model_of_other_transcripts_is_refused(
    recipe, again, tmp_path
):
    arguments = ["LibriSpeech/LM/train.py", "tiny_lm.yaml", *QUIET[:-2]]
    arguments += [
        "--asr_folder",
        again.folder,
        "--output_folder",
        tmp_path / "lm",
    ]
    recipe(*arguments)
    path = again.folder / "save" / "train.json"
    manifest = json.loads(path.read_text())
    next(iter(manifest.values()))["wrd"] = "SEVEN"
    path.write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="other data: its train manifest"):
        recipe(*arguments)


def test_two_trainings_do_not_share_their_checkpoints(again, tmp_path):
    held = again.folder.parent / "held"
    code = "import sys, time\nfrom speechbrain_ligru_fast.asr import lock\n"
    code += "lock.lock_folder(sys.argv[1])\nprint(flush=True)\ntime.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(held)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline()
        try:
            with pytest.raises(RuntimeError, match="held is in use by process"):
                again("--save_folder", held)
        finally:
            process.kill()
