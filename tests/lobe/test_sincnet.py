"""The front end on the waveform; the recipes' tests train it."""

import math

import pytest
import torch
from tiny_corpora import SAMPLES, alone, waves

from speechbrain_ligru_fast.lobe.sincnet import SincNet


def loudest(net, hertz, rate=16000):
    t = torch.arange(rate) / rate
    wave = torch.sin(2 * math.pi * hertz * t).unsqueeze(0)
    with torch.no_grad():
        return int(net(wave)[0, 50].argmax())


def test_filters_answer_to_their_band():
    net = SincNet(filters=40)
    low = net.conv.min_low_hz + net.conv.low_hz_.detach().flatten().abs()
    middle = low + net.conv.band_hz_.detach().flatten().abs() / 2
    for i in (5, 20, 35):
        assert abs(loudest(net, float(middle[i])) - i) <= 1


def test_what_is_trained_has_gradients():
    net = SincNet(filters=10, kernel_size=101)
    out = net(torch.randn(2, 3200))
    (out * torch.randn_like(out)).sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("frame, hop", [(401, 160), (400, 161)])
def test_uneven_frames(frame, hop):
    with pytest.raises(ValueError, match="multiples of stride=8"):
        SincNet(frame=frame, hop=hop)


def test_the_filters_are_computed_in_float32():
    net, wave = SincNet(filters=10), torch.randn(2, 3200)
    want = net(wave)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(net(wave), want)


def test_sinc_filters():
    net = SincNet(filters=10)
    wavs, lengths = waves(SAMPLES, padding=float("nan"))
    features = net(wavs, lengths)
    assert features.shape[1] == max(SAMPLES) // 160
    for b, n in enumerate(net.shorten(torch.tensor(SAMPLES)).tolist()):
        want = net(alone(wavs, b)[0])
        assert want.shape[1] == n
        assert torch.allclose(features[b, :n], want[0], atol=1e-5)
