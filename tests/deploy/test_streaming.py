"""Audio in pieces gives what the whole gives; test_recipes.py trains one."""

from types import SimpleNamespace

import pytest
import torch
import twins
from speechbrain.lobes.features import Fbank
from speechbrain.nnet import RNN as stock
from speechbrain.processing.features import InputNormalization

from speechbrain_ligru_fast import LiGRU, SLiGRU
from speechbrain_ligru_fast.deploy.streaming import (
    StreamingEncoder,
    StreamingFeatures,
    StreamingRecognizer,
)
from speechbrain_ligru_fast.lobe.sincnet import FrontEnd


def make(**options):
    options = {"rnn_bidirectional": False, **options}
    return twins.trained(
        twins.crdnn(12, **options), torch.randn(4, 40, 12)
    ).double()


def pieces(x, seed):
    """Consecutive parts of (1, N, ...), of random lengths, some of them 0."""
    g = torch.Generator().manual_seed(seed)
    start = 0
    while start < x.shape[1]:
        size = int(torch.randint(0, 30, (), generator=g)) * x.shape[1] // 100
        yield x[:, start : start + size], start + size >= x.shape[1]
        start += size


def stream(machine, x, seed):
    out = [machine.feed(*piece) for piece in pieces(x, seed)]
    return torch.cat([part for part in out if part is not None], 1)


@torch.no_grad()
@pytest.mark.parametrize(
    "options",
    [
        {"rnn_class": LiGRU},
        {"rnn_class": SLiGRU},
        {"rnn_class": stock.LSTM},
        {"cnn_blocks": 0, "rnn_class": LiGRU},
        {"using_2d_pooling": True, "rnn_class": SLiGRU},
        {"cnn_kernelsize": (3, 7), "time_pooling": True},
        {"using_2d_pooling": True, "inter_layer_pooling_size": (2, 3)},
        {"cnn_kernelsize": (5, 3), "time_pooling": True, "projection_dim": 4},
    ],
    ids=str,
)
def test_encoder(options):
    crdnn = make(**options)
    for frames in (60, 97):
        x = torch.randn(1, frames, 12, dtype=torch.float64)
        want = crdnn(x)
        for seed in range(3):
            got = stream(StreamingEncoder(crdnn), x, seed)
            assert got.shape == want.shape
            assert (got - want).abs().max() < 1e-12


@torch.no_grad()
def test_what_comes_out_waits_for_the_look_ahead_only():
    encoder = StreamingEncoder(make(using_2d_pooling=True))
    x = torch.randn(1, 200, 12, dtype=torch.float64)
    out = encoder.feed(x)
    # Four frames make one.
    assert out.shape[1] == (200 - encoder.look_ahead) // 4
    assert 0 < encoder.look_ahead < 20


@pytest.mark.parametrize(
    "options, words",
    [
        ({"rnn_bidirectional": True}, "Train with --rnn_bidirectional Fal"),
        (
            {"rnn_bidirectional": True, "rnn_class": stock.GRU},
            "needs the whole utterance",
        ),
        ({"use_rnnp": True}, "one recurrent module, not Aware"),
    ],
)
def test_encoders_that_need_the_whole_are_refused(options, words):
    crdnn = make(**options)
    with pytest.raises(ValueError, match=words):
        StreamingEncoder(crdnn)
    words = "behind filter banks, .* not FrontEnd"
    with pytest.raises(ValueError, match=words):
        StreamingEncoder(FrontEnd(torch.nn.Identity(), crdnn))


@torch.no_grad()
def test_features():
    fbank = Fbank(n_mels=20)
    # The loudest part first, so that the cut-off is the same; some frames
    # are below it.
    loudness = torch.logspace(0, -6, 20000)
    wav = torch.randn(1, 20000) * loudness
    want = fbank(wav)
    assert want[0, -1].max() < want.max() - 79
    for seed in range(3):
        got = stream(StreamingFeatures(fbank), wav, seed)
        assert got.shape == want.shape
        assert torch.allclose(got, want, atol=1e-3)
    # The recogniser's own features are left as they were.
    assert torch.equal(fbank(wav), want)


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("norm_type", ["global", "sentence"])
@pytest.mark.parametrize(
    "features, more",
    [
        (Fbank(), False),
        (Fbank(deltas=True), True),
        (Fbank(context=True), True),
        (torch.nn.Identity(), True),
    ],
)
def test_all_reasons_at_once(both_ways, norm_type, features, more):
    encoder = SimpleNamespace(
        normalize=InputNormalization(norm_type=norm_type),
        compute_features=features,
        enc=make(rnn_bidirectional=both_ways),
    )
    reasons = {
        "Train with --norm_type global": norm_type != "global",
        "compute_features: streaming needs": more,
        "Train with --rnn_bidirectional False": both_ways,
    }
    mods = SimpleNamespace(encoder=encoder)
    said = ""
    try:
        StreamingRecognizer(SimpleNamespace(mods=mods))
    except ValueError as error:
        said = str(error)
    assert [words in said for words in reasons] == list(reasons.values())
