"""What a result row says of the run that made it."""

from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml

from speechbrain_ligru_fast.asr.brain import ASR
from speechbrain_ligru_fast.asr.config import parse
from speechbrain_ligru_fast.asr.recurrent import describe_recurrent

ROOT = Path(__file__).parent.parent
TINY = "tests/hparams/tiny_timit.yaml"
SINCNET = "hparams/timit/small_sincnet.yaml"


@pytest.mark.parametrize(
    "yaml, options, impl",
    [
        (TINY, ["--jit"], "speechbrain-jit"),
        (TINY, [], "speechbrain"),
        # SincConv can't be scripted: its jit_module_keys are none.
        (SINCNET, ["--jit", "--sinc_stride", "80"], "speechbrain"),
    ],
)
def test_only_what_is_scripted_is_called_so(tmp_path, yaml, options, impl):
    command = [str(ROOT / yaml), "--data_folder", "x", "--device", "cpu"]
    command += ["--output_folder", str(tmp_path), "--rnn_neurons", "8"]
    command += ["--rnn_class=!name:speechbrain.nnet.RNN.LiGRU", *options]
    _, document, run_opts, overrides = parse(command)
    hparams = load_hyperpyyaml(document, overrides)
    brain = ASR(hparams["modules"], None, hparams, run_opts)
    brain.on_fit_start()
    found = describe_recurrent(hparams, "cpu", brain.scripted())
    assert found == {"rnn": "LiGRU", "impl": impl}
