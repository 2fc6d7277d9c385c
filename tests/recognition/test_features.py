"""Filter banks of a batch are those of each utterance alone."""

import pytest
import torch
from speechbrain.lobes import features as stock
from tiny_corpora import SAMPLES, alone, waves

from speechbrain_ligru_fast.recognition.features import Fbank


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"deltas": True},
        {"context": True},
        {"deltas": True, "context": True},
    ],
    ids=str,
)
def test_filter_banks(options):
    make, theirs = Fbank(**options), stock.Fbank(**options)
    wavs, lengths = waves(SAMPLES, padding=float("nan"))
    features = make(wavs, lengths)
    frames = make.shorten(torch.tensor(SAMPLES)).tolist()
    for b, n in enumerate(frames):
        want = theirs(alone(wavs, b)[0])
        assert want.shape[1] == n
        assert (features[b, :n] - want[0]).abs().max() < 1e-3  # of 100 dB
    # Without lengths SpeechBrain's, bit by bit.
    wavs = waves(SAMPLES)[0]
    assert torch.equal(make(wavs), theirs(wavs))
