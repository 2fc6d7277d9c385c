"""The command that kills a training and compares its end."""

from pathlib import Path

import torch

from benchmarks import kills
from speechbrain_ligru_fast.asr.results import read_rows

ROOT = Path(__file__).parent.parent
YAML = ROOT / "tests" / "hparams" / "tiny_timit.yaml"

# A recipe that counts its starts and, given --forget, loses an epoch's loss.
TRAIN = """\
import pathlib, sys, time
out = pathlib.Path(sys.argv[sys.argv.index("--output_folder") + 1])
log, save = out / "train_log.txt", out / "save" / "CKPT"
done = log.read_text().count("epoch") if log.exists() else 0
for epoch in range(done + 1, 5):
    time.sleep(0.25)
    save.mkdir(parents=True, exist_ok=True)
    loss = 9.5 if "--forget" in sys.argv and done else 8.5
    with open(log, "a") as file:
        file.write(f"epoch: {epoch}, lr: 1.0 - train loss: {loss}, train s: "
                   f"{time.time()} - valid loss: 7.5, valid WER: 30\\n")
"""


def run(tmp_path, *arguments):
    (tmp_path / "train.py").write_text(TRAIN)
    status = kills.main(
        [
            *[str(tmp_path), str(YAML), "--data_folder", "x", "--kills", "2"],
            *["--out", str(tmp_path / "out"), *arguments],
            *["--results", str(tmp_path / "kills.csv")],
        ]
    )
    return status, read_rows(tmp_path / "kills.csv")[1][-1]


def test_equal_end(tmp_path):
    status, row = run(tmp_path, "--seed", "83")
    assert status == 0 and row["equal"] == "yes" and row["kills"] == "2"
    assert len(row["moments_s"].split()) == 2
    assert (row["epochs"], row["train_loss_killed"]) == ("4", "8.5")


def test_another_end_is_reported(tmp_path):
    status, row = run(tmp_path, "--seed", "83", "--forget")
    assert status == 1 and row["equal"] == "no"
    assert (row["train_loss"], row["train_loss_killed"]) == ("8.5", "9.5")


def test_weights_are_compared(tmp_path):
    for name, value in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        export = tmp_path / name / "export"
        export.mkdir(parents=True)
        torch.save({"w": torch.tensor(value), "n": 3}, export / "enc.ckpt")
    a, b, c = (tmp_path / name for name in "abc")
    assert kills.same_weights(a, b) and not kills.same_weights(a, c)
    assert not kills.same_weights(a, tmp_path)
