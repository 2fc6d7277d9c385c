"""What a result row says of the layer that ran."""

import pytest
from hyperpyyaml import load_hyperpyyaml
from tiny_systems import HPARAMS, tiny

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
