"""The recipes' whole chain: an utterance's result is of it alone."""

from pathlib import Path

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.decoders import ctc_greedy_decode
from tiny_corpora import SAMPLES, alone, waves

from speechbrain_ligru_fast.recognition.encoding import Encoder

HPARAMS = Path(__file__).parents[2] / "hparams"
SMALL = {
    "data_folder": "x",
    "rnn_layers": 1,
    "rnn_neurons": 12,
    "dnn_neurons": 12,
    "dec_neurons": 12,
    "attn_dim": 8,
    "emb_size": 8,
    "beam_size": 3,
}
SYSTEMS = [
    ("librispeech/an4.yaml", {}),
    ("librispeech/lj.yaml", {"rnn_class": "!name:speechbrain.nnet.RNN.LSTM"}),
    ("timit/small.yaml", {"norm_type": "sentence"}),
    ("timit/small_sincnet.yaml", {}),
    (
        "timit/ligru_fast.yaml",
        {"cnn_channels": (3, 4), "norm_type": "sentence"},
    ),
]


def build(yaml, overrides, folder):
    """A recipe's system, small and away from its first values."""
    overrides = SMALL | {"output_folder": str(folder)} | overrides
    lines = [f"{key}: {value}" for key, value in overrides.items()]
    hparams = load_hyperpyyaml((HPARAMS / yaml).read_text(), "\n".join(lines))
    with torch.no_grad():
        for parameter in hparams["model"].parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    hparams["model"].eval()
    # Of silence the mean, so that what is in padding matters.
    normalize = hparams["normalize"].eval()
    normalize.glob_mean, normalize.glob_std = torch.zeros(40), torch.ones(40)
    return hparams


@torch.no_grad()
@pytest.mark.parametrize("yaml, overrides", SYSTEMS, ids=str)
def test_a_recipe_transcribes_an_utterance_as_alone(yaml, overrides, tmp_path):
    hparams = build(yaml, overrides, tmp_path)
    parts = ("compute_features", "normalize", "enc")
    encoder = Encoder(*(hparams[name] for name in parts)).eval()

    def recognise(wavs, lengths):
        encoded = encoder(wavs, lengths)
        p_ctc = hparams["log_softmax"](hparams["ctc_lin"](encoded))
        frames = (encoded.own_lengths * encoded.shape[1]).round().int()
        # As SpeechBrain's interface calls it: with the waveforms' lengths.
        beam, *_ = hparams["test_search"](encoded, lengths)
        greedy, *_ = hparams["valid_search"](encoded, encoded.own_lengths)
        ctc = ctc_greedy_decode(p_ctc, encoded.own_lengths, 0)
        return [
            (p[:n], *texts)
            for p, n, *texts in zip(p_ctc, frames, beam, greedy, ctc)
        ]

    wavs, lengths = waves(SAMPLES, size=10000)
    batch = recognise(wavs, lengths)
    # Some texts are as long as they may be, or the test sees no limit.
    assert any(len(text) > 3 for _, text, *_ in batch)
    for b in range(len(SAMPLES)):
        ((p_ctc, *texts),) = recognise(*alone(wavs, b))
        assert p_ctc.shape == batch[b][0].shape
        assert torch.allclose(batch[b][0], p_ctc, atol=1e-4)
        assert texts == list(batch[b][1:])
