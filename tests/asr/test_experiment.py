"""What a run's rows claim, what they survive, and what it may go on with."""

import json
import shutil
from types import SimpleNamespace

import pytest
from tiny_recipes import CPU, rows

from speechbrain_ligru_fast.asr import experiment
from speechbrain_ligru_fast.asr.brain import ASR
from speechbrain_ligru_fast.training import results
from speechbrain_ligru_fast.training.results import read_rows


@pytest.fixture
def again(train, trained_librispeech, tmp_path):
    """Runs the recipe in a copy of what is trained; returns the rows."""
    folder = tmp_path / "asr"
    shutil.copytree(trained_librispeech, folder)

    def run(*arguments, data=None):
        if "--number_of_epochs" not in arguments:
            arguments += ("--number_of_epochs", "1")
        return train("LibriSpeech", folder, *arguments, data=data)

    run.folder = folder
    return run


def other_corpus(librispeech, folder, split):
    """A copy in which an utterance of a split says something else."""
    shutil.copytree(librispeech, folder)
    (path,) = (folder / split).rglob("*.trans.txt")
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join([first.split()[0] + " SEVEN\n", *rest]))
    return folder


def saved(folder):
    """What the training reads, and its tokenizer's record."""
    return {
        path.name: path.read_bytes()
        for path in (folder / "save").glob("*.json")
    }


def test_a_training_on_other_data_is_refused(again, librispeech, tmp_path):
    before = saved(again.folder)
    for split, name in (("train-tiny", "train"), ("dev-tiny", "valid")):
        other = other_corpus(librispeech, tmp_path / split, split)
        words = rf"other {name}_manifest\. .*_manifest: \w{{8}} to \w{{8}}\)"
        with pytest.raises(ValueError, match=words):
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
    # Both tests' files are there.
    assert len(list(again.folder.glob("texts_*.csv"))) == 3


def test_what_is_computed_may_change_on_the_way(again):
    (first,) = rows(again.folder)
    with pytest.raises(ValueError, match="with other lr. Give") as caught:
        again("--number_of_epochs", "2", "--lr", "0.5")
    assert "--allow_changes True goes on" in str(caught.value)
    assert "(lr: 0.002 to 0.5)" in str(caught.value)
    given = ["--number_of_epochs", "2", "--batch_size=2", "--precision=bf16"]
    row = again(*given)[-1]
    assert row["changes"] == (
        "--precision: none to bf16, batch_size: 4 to 2 from epoch 2"
    )
    assert row["settings"] != first["settings"]
    # A test claims no other.
    tested = again(*given, "--test_only")[-1]
    assert tested["settings"] == row["settings"]


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
        patch.setattr(experiment, "write_files", fail)
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


@pytest.fixture
def untrainable(monkeypatch):
    """Whatever gets as far as training fails."""
    monkeypatch.setattr(ASR, "fit", None)


def test_names_of_files_that_can_not_be_are_found_before(
    again, librispeech, tmp_path, untrainable
):
    corpus, long = tmp_path / "corpus", "x" * 230
    shutil.copytree(librispeech, corpus)
    for name in ("a/b", "a-b", long):
        shutil.copytree(corpus / "test-tiny", corpus / name)
    with pytest.raises(ValueError, match="files of a-b and a/b would have one"):
        again("--test_splits=[a/b, a-b]", data=corpus)
    with pytest.raises(ValueError, match="files of x+ can't be written"):
        again(f"--test_splits=[{long}]", data=corpus)


@pytest.mark.parametrize(
    "given, words",
    [
        (["--results_csv", "."], "results_csv: rows can't be adde"),
        (["--results_csv", "file/rows.csv"], "results_csv: rows can't be adde"),
        (["--results_csv", "null"], "results_csv: got none"),
        (["--train_logger", "null"], "train_logger: got None"),
        (["--beam_size", "0", "--test_only"], "_search can't work as it is s"),
        (["--ctc_weight_decode", "2"], "_search can't|ctc_weight"),
        (["--test_splits=[]", "--test_only"], "test_splits: got none, expecte"),
        (["--test_splits=[tokenizer]"], "test_splits: got 'tokenizer', expect"),
    ],
)
def test_what_would_fail_at_the_end_is_found_before(
    again, tmp_path, monkeypatch, untrainable, given, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ValueError, match=words):
        again(*given)
    assert len(rows(again.folder)) == 1


def test_a_disk_that_will_be_full_is_found_before(
    again, monkeypatch, untrainable
):
    usage = SimpleNamespace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(OSError, match="0 MiB of free space, but two checkpo"):
        again("--number_of_epochs", "2")


def test_without_a_test(again):
    again("--number_of_epochs", "2", "--test_splits=[]")
    assert len(rows(again.folder)) == 1


def test_debug_leaves_what_is_trained_alone(again, librispeech, tmp_path):
    before = saved(again.folder)
    other = other_corpus(librispeech, tmp_path / "other", "train-tiny")
    again("--debug", data=other)
    assert saved(again.folder) == before


def test_a_language_model_of_other_transcripts_is_refused(
    recipe, again, tmp_path
):
    arguments = ["LibriSpeech/LM/train.py", "tiny_lm.yaml", *CPU]
    arguments += ["--asr_folder", again.folder]
    arguments += ["--output_folder", tmp_path / "lm"]
    recipe(*arguments)
    path = again.folder / "save" / "train.json"
    manifest = json.loads(path.read_text())
    next(iter(manifest.values()))["wrd"] = "SEVEN"
    path.write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="with other train_manifest. Give an"):
        recipe(*arguments)
