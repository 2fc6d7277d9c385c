"""Noise recordings that could not be mixed in are refused, by name."""

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
