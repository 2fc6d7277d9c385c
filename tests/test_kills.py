"""The command that kills a training and compares its end."""

import argparse
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny_systems import tiny

from benchmarks import kills, resumption
from speechbrain_ligru_fast.asr.results import read_rows

ROOT = Path(__file__).parent.parent
YAML = tiny("tiny_timit.yaml")

# A recipe in SpeechBrain's words: 4 epochs of 3 batches and a checkpoint after
# each. Told to forget, it loses an epoch's loss; told to ignore, it begins anew
# each time, and comes to the same end.
TRAIN = """\
import os, pathlib, shutil, sys, time
told = os.environ.get("TOLD", "")
out = pathlib.Path(sys.argv[sys.argv.index("--output_folder") + 1])
log, save = out / "train_log.txt", out / "save"
save.mkdir(parents=True, exist_ok=True)

def keep(epoch, batch, end):
    path = save / f"unfinished-{epoch}-{batch}-{end}"
    path.mkdir(exist_ok=True)
    (path / "counter.ckpt").write_text(str(epoch))
    (path / "brain.ckpt").write_text(f"step: {batch}")
    (path / "CKPT.yaml").write_text(
        f"end-of-epoch: {str(end).lower()}\\nunixtime: {time.time()}\\n")
    done = path.with_name(f"CKPT+{time.time_ns()}")
    path.rename(done)
    return done

found, first, skip = sorted(save.glob("CKPT*"))[-1:], 1, 0
if found and "ignore" not in told:
    first = int((found[0] / "counter.ckpt").read_text())
    skip = int((found[0] / "brain.ckpt").read_text()[6:])
    if "true" in (found[0] / "CKPT.yaml").read_text():
        first, skip = first + 1, 0
for epoch in range(first, 5):
    print(f"Going into epoch {epoch}", flush=True)
    print(f" {skip}/3 [00:00<?, ?it/s]", end="", flush=True)
    for batch in range(skip, 3):
        time.sleep(0.1)
        print(f"\\r {batch}/3 [00:00<?, train_loss={batch}.5]", flush=True)
        keep(epoch, batch + 1, False)
    print(" 0/2 [00:00<?, ?it/s] 2/2 [00:00<?, ?it/s]")
    loss = 9.5 if "forget" in told and found else 8.5
    with open(log, "a") as file:
        file.write(f"epoch: {epoch}, lr: 1.0 - train loss: {loss}, train s: "
                   f"{time.time()} - valid loss: 7.5, valid WER: 30\\n")
    keep(epoch, 3, True)
    skip = 0
if "no-export" not in told:
    (out / "export").mkdir(exist_ok=True)
    shutil.copy("enc.ckpt", out / "export")
"""


def run(tmp_path, *arguments):
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "train.py").write_text(TRAIN)
    torch.save({"w": torch.ones(2)}, tmp_path / "enc.ckpt")
    status = kills.main(
        [
            *[str(tmp_path), str(YAML), "--kills", "2"],
            *["--data_folder", str(tmp_path / "data")],
            *["--out", str(tmp_path / "out"), *arguments],
            *["--results", str(tmp_path / "kills.csv")],
        ]
    )
    return status, read_rows(tmp_path / "kills.csv")[1][-1]


def test_equal_end(tmp_path):
    status, row = run(tmp_path, "--seed", "83")
    assert status == 0 and row["equal"] == "yes"
    assert len(row["moments_s"].split()) == int(row["kills"]) >= 2
    assert (row["epochs"], row["train_loss_killed"]) == ("4", "8.5")
    assert (row["resumes"], row["from_newest"]) == ("2", "yes")
    # A checkpoint follows each batch at once.
    assert int(row["lost_steps"]) <= 1
    assert "--data_folder " in row["command"]


def test_kills_before_the_first_checkpoint_are_counted_apart(
    tmp_path, monkeypatch
):
    parts = iter([0.0, 0.0, *[0.6] * 20])
    dice = SimpleNamespace(uniform=lambda low, high: next(parts) * high)
    monkeypatch.setattr(kills.random, "Random", lambda seed: dice)
    status, row = run(tmp_path)
    assert status == 0 and row["resumes"] == "2"
    assert int(row["kills"]) >= 4
    assert row["moments_s"].startswith("0.0 0.0 ")


@pytest.mark.parametrize(
    "given, words",
    [
        (["--number_of_epoch", "3"], "did you mean --number_of_epochs?"),
        (["--kills", "0"], "--kills: got 0, expected 1 or more"),
        (["--data_folder", "nowhere"], "there is no nowhere"),
    ],
)
def test_a_bad_command_removes_nothing(tmp_path, capsys, given, words):
    kept = tmp_path / "out" / "whole" / "train_log.txt"
    kept.parent.mkdir(parents=True)
    kept.touch()
    (tmp_path / "kills.csv").write_text("equal\nyes\n")
    status, _ = run(tmp_path, *given)
    assert status == 1 and words in capsys.readouterr().err
    assert kept.exists()


def test_beginning_anew_is_found_out(tmp_path, monkeypatch):
    monkeypatch.setenv("TOLD", "ignore")
    status, row = run(tmp_path, "--seed", "83")
    assert row["equal"] == "yes"
    assert status == 1 and row["from_newest"] == "no"
    assert int(row["lost_steps"]) > 1


def test_nothing_to_compare(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TOLD", "no-export")
    status, row = run(tmp_path, "--seed", "83")
    assert status == 1 and row["equal"] == "no"
    assert "no exported weights" in capsys.readouterr().err


def test_another_end_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("TOLD", "forget")
    status, row = run(tmp_path, "--seed", "83")
    assert status == 1 and row["equal"] == "no"
    assert (row["train_loss"], row["train_loss_killed"]) == ("8.5", "9.5")


def test_speechbrains_own_words(timit, tmp_path):
    args = argparse.Namespace(
        yaml=YAML,
        data_folder=timit,
        recipe=ROOT / "recipes" / "TIMIT",
        ckpt_interval_steps=2,
    )
    rest = ["--device", "cpu", "--backend", "torchscript"]
    rest += ["--batch_size", "2", "--number_of_epochs", "1000"]
    saved = [None]
    for wanted in (1, 3), (1, 2):
        process = kills.start(args, rest, tmp_path)
        deadline = time.monotonic() + 1200
        reached = None
        while reached is None or reached < wanted:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
            _, reached, _ = resumption.places(kills.printed(tmp_path)[-1])
        process.kill()
        process.wait()
        saved.append(resumption.newest(tmp_path))
    texts = kills.printed(tmp_path)
    found = resumption.account(texts, saved[:2])
    assert (found["resumes"], found["from_newest"]) == (1, True)
    # Of 3 batches an epoch the second and the last are kept.
    assert resumption.places(texts[0])[2] == 3 and found["lost_steps"] <= 2
    assert saved[1] >= (1, 2)


def test_weights_are_compared(tmp_path):
    for name, value in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        export = tmp_path / name / "export"
        export.mkdir(parents=True)
        torch.save({"w": torch.tensor(value), "n": 3}, export / "enc.ckpt")
    a, b, c = (tmp_path / name for name in "abc")
    assert kills.same_weights(a, b) and not kills.same_weights(a, c)
    assert not kills.same_weights(a, tmp_path)
    assert not kills.same_weights(tmp_path, tmp_path)
