"""Which layers are said to be scripted, which norms to see all processes.

tests/layers/test_batch_norm.py compares the statistics themselves.
"""

import logging
from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from tiny_systems import HPARAMS, tiny
from torch import nn

from speechbrain_ligru_fast import LiGRU
from speechbrain_ligru_fast.asr import brain as brain_module
from speechbrain_ligru_fast.asr.brain import ASR
from speechbrain_ligru_fast.lobe.describe_recurrent import describe_recurrent
from speechbrain_ligru_fast.training.command_line import parse

TINY = tiny("tiny_timit.yaml")
SINCNET = HPARAMS / "timit/small_sincnet.yaml"


@pytest.mark.parametrize(
    "yaml, options, impl",
    [
        (TINY, ["--jit"], "speechbrain-jit"),
        (TINY, ["--jit", "--test_only"], "speechbrain-jit"),
        (TINY, [], "speechbrain"),
        # SincConv can't be scripted: its jit_module_keys are none.
        (SINCNET, ["--jit", "--sinc_stride", "80"], "speechbrain"),
    ],
)
def test_only_what_is_scripted_is_called_so(tmp_path, yaml, options, impl):
    command = [str(yaml), "--data_folder", "x", "--device", "cpu"]
    command += ["--output_folder", str(tmp_path), "--rnn_neurons", "8"]
    command += ["--rnn_class=!name:speechbrain.nnet.RNN.LiGRU", *options]
    _, document, run_opts, overrides = parse(command)
    hparams = load_hyperpyyaml(document, overrides)
    brain = ASR(hparams["modules"], None, hparams, run_opts)
    if run_opts["test_only"]:
        brain.fit(hparams["epoch_counter"], [])
    else:
        brain.on_fit_start()
    encoder = hparams["modules"]["enc"]
    found = describe_recurrent(encoder, "cpu", "fp32", brain.scripted())
    assert found == {"rnn": "LiGRU", "impl": impl}


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
