"""What a recipe's run leaves, for tests that run recipes on tiny corpora."""

import re

import torch
from speechbrain.utils.checkpoints import Checkpointer

from speechbrain_ligru_fast.training.results import read_rows

CPU = ["--device", "cpu", "--noprogressbar"]
QUIET = [*CPU, "--backend", "torchscript"]


class Interrupted(BaseException):
    """Stands for a kill: nothing but the test catches it."""


def rows(folder):
    """The result rows, one a run and test set."""
    return read_rows(folder / "results.csv")[1]


def last_epoch(folder):
    """What was logged of the last epoch, but the time it took."""
    log = (folder / "train_log.txt").read_text()
    last = re.findall("^epoch.*", log, re.MULTILINE)[-1]
    return re.sub(r"(train|elapsed) s: \S+", "", last)


def last_weights(folder):
    """Those of the newest checkpoint, as one vector.

    The best one may be another: that depends on the CPU's arithmetic, and of
    equally good ones on when they were written.
    """
    path = Checkpointer(folder / "save").find_checkpoint().path / "model.ckpt"
    return torch.cat([v.flatten() for v in torch.load(path).values()])
