"""Noise: which recordings are refused, and which are drawn."""

import re

import pytest
import soundfile
import torch

from speechbrain_ligru_fast.asr.augment import build_augmenter


def test_noise_of_another_kind_is_refused(tmp_path):
    noise = tmp_path / "noise"
    noise.mkdir()
    soundfile.write(noise / "good.wav", torch.zeros(800).numpy(), 16000)
    lists = tmp_path / "noise.csv"
    augment = build_augmenter([], 16000, noise, lists)
    wavs, _ = augment(torch.ones(2, 1600), torch.ones(2))
    assert wavs.shape == (2, 1600)

    soundfile.write(noise / "slow.wav", torch.zeros(800).numpy(), 8000)
    soundfile.write(noise / "two.wav", torch.zeros(800, 2).numpy(), 16000)
    words = "expected mono at 16000 Hz, got .*slow.wav (1 channels, 8000 Hz), "
    words = re.escape(words).replace(r"\.\*", ".*")
    with pytest.raises(ValueError, match=words):
        build_augmenter([], 16000, noise, lists)


def test_a_resumed_training_goes_on_with_the_same_noise(tmp_path):
    noise = tmp_path / "noise"
    noise.mkdir()
    for i in range(9):
        wave = torch.randn(800 + 100 * i, generator=torch.manual_seed(i))
        soundfile.write(noise / f"{i}.wav", 0.1 * wave.numpy(), 16000)
    lists = tmp_path / "noise.csv"
    speech, ones = torch.randn(4, 1600), torch.ones(4)
    whole = build_augmenter([], 16000, noise, lists)
    whole(speech, ones)
    state = torch.get_rng_state()
    (want, _), (later, _) = (whole(speech, ones) for _ in range(2))
    resumed = build_augmenter([], 16000, noise, lists)
    torch.set_rng_state(state)
    got, _ = resumed(speech, ones)
    assert torch.equal(got, want) and not torch.equal(want, later)
    assert not torch.equal(want, speech)
