"""Any of SpeechBrain's loggers, and none that costs a training."""

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
from speechbrain.utils.train_logger import (
    FileTrainLogger,
    ProgressSampleLogger,
    TensorboardLogger,
    WandBLogger,
)

from speechbrain_ligru_fast.training.train_logger import (
    check_logger,
    log_epoch,
    log_test,
)


class Writer:
    """Tensorboard's, as strict as it; it is none of our dependencies."""

    def __init__(self, save_dir):
        self.values = {}

    def add_scalar(self, name, value, step):
        self.values[name, step] = float(value)


def test_every_logger_of_speechbrains(tmp_path, monkeypatch):
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, module.__name__, module)
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
    log = (tmp_path / "log.txt").read_text()
    assert "split: other, lm: none, epochs: 2 - test loss: 1.00e+00, te" in log
    board = loggers[1].writer.values
    assert board["elapsed s", 2] == 12.5 and board["other WER/test", 1] == 8.0
    assert logged[0]["valid"] == {"WER": 9.0}
    assert logged[3]["test"] == {"other loss": 1.0, "other WER": 8.0}
    for other in (ProgressSampleLogger(tmp_path), None, 3):
        with pytest.raises(ValueError, match="train_logger: got .*, expected"):
            check_logger(other)


def test_a_logger_that_fails_costs_no_training(caplog):
    def fail(**stats):
        raise ConnectionError("no route to host")

    log_epoch(SimpleNamespace(log_stats=fail), {"epoch": 1}, {"loss": 2.5}, {})
    assert "no route to host" in caplog.text and "2.5" in caplog.text
