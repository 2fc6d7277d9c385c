"""Several processes, accumulated gradients, bf16: the same training."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from speechbrain.utils.checkpoints import Checkpointer
from tiny_recipes import QUIET, Interrupted, last_epoch, rows
from tiny_recipes import last_weights as weights
from tiny_systems import tiny

from speechbrain_ligru_fast.asr.brain import ASR

RECIPES = Path(__file__).parents[2] / "recipes"


def distance(a, b):
    return float((a - b).norm() / b.norm())


@pytest.fixture
def trained(train, tmp_path):
    """Weights after training in one process, the same each time."""

    def run(name, *arguments):
        train("TIMIT", tmp_path / name, *arguments, yaml="even_timit.yaml")
        return weights(tmp_path / name)

    return run


def torchrun(recipe, script, yaml, data, folder, *arguments):
    """Two processes on this machine; returns the exit status and the log."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node=2", script, tiny(yaml), *QUIET]
    command += ["--data_folder", data, "--output_folder", folder]
    command += ["--distributed_backend", "gloo", *arguments]
    log = folder.with_suffix(".txt")
    with open(log, "w") as file:
        process = subprocess.Popen(
            [*map(str, command)],
            cwd=recipe,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        # Ends what hangs; a busy machine takes a while.
        return process.wait(timeout=1200), log.read_text()
    finally:
        # The workers too, if they wait for each other.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


# Says how many threads its process group has, while it tests and at its end.
WATCHED = """\
import os, runpy, sys
from pathlib import Path
from speechbrain_ligru_fast.asr.brain import ASR

def say(when):
    names = (p.read_text() for p in Path("/proc/self/task").glob("*/comm"))
    count = sum(name.startswith("pt_gloo") for name in names)
    # In one piece: the other process writes here too.
    os.write(1, f"\\n{when}: {count} threads\\n".encode())

evaluate = ASR.evaluate

def watched(self, *args, **kwargs):
    say("test")
    return evaluate(self, *args, **kwargs)

ASR.evaluate = watched
sys.path.insert(0, os.getcwd())
runpy.run_path("train.py", run_name="__main__")
say("end")
"""


def test_two_processes_equal_one_on_the_doubled_batch(trained, timit, tmp_path):
    begin = trained("begin", "--batch_size", "2", "--number_of_epochs", "1")
    want = trained("one", "--batch_size", "2", "--number_of_epochs", "3")
    folder = tmp_path / "two"
    watched = tmp_path / "watched.py"
    watched.write_text(WATCHED)
    status, log = torchrun(
        *[RECIPES / "TIMIT", watched, "even_timit.yaml", timit, folder],
        *["--batch_size", "1", "--number_of_epochs", "3"],
    )
    assert status == 0, log
    # A thread of gloo's that outlives its group aborts the process now and
    # then.
    threads = re.findall(r"^(test|end): (\d+) threads$", log, re.MULTILINE)
    if Path("/proc/self/task").exists():
        assert sorted(threads) == [("end", "0")] * 2 + [("test", "2")] * 2, log
    moved, apart = distance(begin, want), distance(weights(folder), want)
    assert apart < 1e-5 < 100 * 1e-5 < moved
    log = (folder / "train_log.txt").read_text()
    epochs = re.findall(r"^epoch: (\d+)", log, re.MULTILINE)
    assert epochs == ["1", "2", "3"]
    assert rows(folder)[-1]["epochs"] == "3"


def test_accumulated_gradients(trained, monkeypatch):
    """Those of the larger batch, also when interrupted before their step."""
    epochs = ["--number_of_epochs", "2"]
    epochs += ["--ckpt_interval_minutes", "0", "--ckpt_interval_steps", "1"]
    larger = trained("larger", "--batch_size", "2", *epochs)
    alone = trained("alone", "--batch_size", "1", *epochs)
    # 6 batches an epoch make 3 steps; the second has half its gradients.
    arguments = ["--batch_size", "1", "--grad_accumulation_factor", "2"]
    want = trained("whole", *arguments, *epochs)
    assert distance(want, larger) < 1e-5 < distance(alone, larger)
    fit_batch, batches = ASR.fit_batch, iter(range(3))

    def interrupted(self, batch):
        if next(batches, None) is None:
            raise Interrupted
        return fit_batch(self, batch)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(ASR, "fit_batch", interrupted)
        trained("broken", *arguments, *epochs)
    assert torch.equal(trained("broken", *arguments, *epochs), want)


# Ends itself in its second process and epoch, between two optimiser steps.
KILLED = """\
import os, runpy, signal, sys
from speechbrain_ligru_fast.asr.brain import ASR

fit_batch = ASR.fit_batch

def killed(self, batch):
    where = (self.rank, self.hparams.epoch_counter.current, self.step)
    if where == (1, 2, 4):
        os.kill(os.getpid(), signal.SIGKILL)
    return fit_batch(self, batch)

ASR.fit_batch = killed
sys.path.insert(0, os.getcwd())
runpy.run_path("train.py", run_name="__main__")
"""


def test_two_processes_killed_and_resumed(librispeech, tmp_path):
    # Dropout and augmentation are on.
    killed = tmp_path / "killed.py"
    killed.write_text(KILLED)
    arguments = ["--dynamic_batching", "True", "--max_batch_length", "150"]
    arguments += ["--grad_accumulation_factor", "2", "--precision", "bf16"]
    arguments += ["--ckpt_interval_minutes", "0", "--ckpt_interval_steps", "1"]
    arguments += ["--avg_checkpoints", "1", "--number_of_epochs", "2"]

    def run(script, name):
        return torchrun(
            *[RECIPES / "LibriSpeech", script],
            *["tiny_librispeech.yaml", librispeech],
            *[tmp_path / name, *arguments],
        )

    status, log = run("train.py", "whole")
    assert status == 0, log
    assert run(killed, "broken")[0] != 0
    newest = Checkpointer(tmp_path / "broken" / "save").find_checkpoint()
    assert not newest.meta["end-of-epoch"]
    assert (newest.path / "counter.ckpt").read_text() == "2"
    status, log = run("train.py", "broken")
    assert status == 0, log
    assert last_epoch(tmp_path / "broken") == last_epoch(tmp_path / "whole")
    got, want = (weights(tmp_path / name) for name in ("broken", "whole"))
    assert torch.equal(got, want)


def test_bf16(trained, tmp_path):
    epochs = ["--number_of_epochs", "2"]
    want = trained("fp32", *epochs)
    begin = trained("begin", "--number_of_epochs", "1")
    got = trained("bf16", *epochs, "--precision", "bf16")
    assert rows(tmp_path / "bf16")[-1]["precision"] == "bf16"
    # Weights stay float32 and go the same way.
    assert got.dtype == torch.float32
    assert 0 < distance(got, want) < 0.5 * distance(begin, want)
