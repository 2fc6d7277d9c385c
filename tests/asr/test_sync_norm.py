"""Which batch norms have the statistics of all processes.

tests/layers/test_batch_norm.py compares the statistics themselves.
"""

import logging
from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch
from torch import nn

from speechbrain_ligru_fast import LiGRU
from speechbrain_ligru_fast.asr import brain as brain_module
from speechbrain_ligru_fast.asr.brain import ASR


def brain_of(device, sync):
    """A brain, one of two processes, before its modules are wrapped."""
    brain = object.__new__(ASR)
    layer = LiGRU(4, (None, None, 3))
    vars(brain).update(
        hparams=SimpleNamespace(sync_batch_norm=sync),
        modules=nn.ModuleDict({"enc": layer}),
        device=device,
        device_type=device,
        distributed_launch=True,
        distributed_backend="gloo",
        find_unused_parameters=False,
    )
    return brain


@pytest.mark.parametrize(
    ("device", "sync", "kind"),
    [
        ("cuda", None, nn.SyncBatchNorm),
        ("cuda", True, nn.SyncBatchNorm),
        ("cuda", False, nn.BatchNorm1d),
        ("cpu", None, nn.BatchNorm1d),
        ("cpu", False, nn.BatchNorm1d),
    ],
)
def test_which_norms_are_wrapped(monkeypatch, device, sync, kind):
    def wrap(module, **_):
        return nn.Sequential(module)

    monkeypatch.setattr(sb.core, "DDP", wrap)
    monkeypatch.setattr(brain_module, "DistributedDataParallel", wrap)
    brain = brain_of(device, sync)
    brain._wrap_distributed()
    (layer,) = brain.modules["enc"]
    assert type(layer.rnn[0].norm) is kind


def test_norms_that_are_scripted_are_said_not_to_be(monkeypatch, caplog):
    monkeypatch.setattr(sb.core, "DDP", lambda module, **_: module)
    for sync in (None, True):
        brain = brain_of("cuda", sync)
        brain.modules["enc"] = torch.jit.script(brain.modules["enc"])
        if sync:
            with pytest.raises(ValueError, match="=True with --jit: what is"):
                brain._wrap_distributed()
            continue
        with caplog.at_level(logging.WARNING, "speechbrain_ligru_fast"):
            brain._wrap_distributed()
        assert "batch norms see its own batch alone (--jit" in caplog.text


@pytest.mark.parametrize(
    ("value", "words"),
    [("True", "=True on a CPU: torch's Sync"), ("some", "must be null, True")],
)
def test_what_can_not_be_is_refused(train, tmp_path, value, words):
    with pytest.raises(ValueError, match=f"sync_batch_norm.*{words}"):
        train("TIMIT", tmp_path / "asr", "--sync_batch_norm", value)
    assert not list((tmp_path / "asr").glob("save/CKPT*"))
