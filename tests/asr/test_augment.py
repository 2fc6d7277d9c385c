"""Noise that is found and drawn, and frequencies that are dropped."""

from pathlib import Path

import pytest
import soundfile
import torch
import twins
from speechbrain.augment.time_domain import DropFreq

from speechbrain_ligru_fast.asr.augment import build_augmenter


def write(path, shape=(800,), rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = torch.randn(shape, generator=torch.manual_seed(0))
    soundfile.write(path, 0.1 * wave.numpy(), rate)


def listed(tmp_path):
    """The names of the noises, after some were added."""
    lists = tmp_path / "noise.csv"
    augment = build_augmenter([], 16000, tmp_path / "noise", lists)
    wavs, _ = augment(torch.ones(8, 1600), torch.ones(8))
    assert wavs.shape == (8, 1600)
    lines = lists.read_text().splitlines()[1:]
    return [Path(line.split(",")[2]).name for line in lines]


def test_noise_of_any_kind_and_place(tmp_path):
    write(tmp_path / "noise" / "a.wav", rate=8000)
    write(tmp_path / "babble" / "b.wav", (800, 2))
    (tmp_path / "noise" / "babble").symlink_to(tmp_path / "babble")
    (tmp_path / "noise" / "._a.wav").write_bytes(bytes(90))
    assert listed(tmp_path) == ["a.wav", "b.wav"]


def test_unusable_noise_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="noise_folder=.*no .wav"):
        listed(tmp_path)
    write(tmp_path / "noise" / "a.wav")
    (tmp_path / "noise" / "b.wav").write_bytes(bytes(90))
    with pytest.raises(ValueError, match="noise_folder=.*unreadable .*b.wav"):
        listed(tmp_path)


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


@pytest.mark.parametrize("steps", [1, 50, 101, 127, 128, 129, 4000])
def test_the_same_frequencies_are_dropped_sooner(steps):
    stock, mine = DropFreq(), DropFreq()
    augment = build_augmenter([mine], 16000)
    waves, ones = torch.randn(3, steps), torch.ones(3)
    state = torch.get_rng_state()
    got, _ = augment(waves, ones)
    later = torch.rand(1)
    torch.set_rng_state(state)
    (name,) = augment.augmentations
    augment.augmentations[name] = stock
    want, _ = augment(waves, ones)
    assert type(mine) is not DropFreq and type(stock) is DropFreq
    assert twins.error(got, want) < 1e-6
    # What is drawn after it is what SpeechBrain's would leave.
    assert torch.equal(torch.rand(1), later)


def test_channels_are_filtered_by_speechbrain():
    mine = DropFreq()
    build_augmenter([mine], 16000)
    waves = torch.randn(2, 400, 3)
    state = torch.get_rng_state()
    got = mine(waves)
    torch.set_rng_state(state)
    assert torch.equal(got, DropFreq()(waves))
