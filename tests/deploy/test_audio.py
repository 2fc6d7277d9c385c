"""Audio that can't be recognised is named, all of it, before any work."""

from types import SimpleNamespace

import numpy
import pytest
import soundfile
import torch

from speechbrain_ligru_fast.deploy.audio import (
    check_audio,
    check_durations,
    shortest_input,
)


def write(path, samples, **options):
    soundfile.write(path, samples, 16000, **options)
    return path


def test_all_that_is_bad_is_named(tmp_path):
    good = write(tmp_path / "a.wav", [0.0] * 160)
    broken, empty = tmp_path / "b.flac", write(tmp_path / "c.wav", [])
    broken.write_bytes(b"fLaC nothing")
    noise = numpy.random.default_rng(0).normal(size=80000) / 9
    cut = write(tmp_path / "d.flac", noise)
    cut.write_bytes(cut.read_bytes()[:40000])
    bad = [broken, empty, cut, tmp_path / "missing.wav"]
    with pytest.raises(ValueError, match="can't read ") as caught:
        check_audio([good, *bad])
    assert all(str(path) in str(caught.value) for path in bad)
    assert str(good) not in str(caught.value)


@pytest.mark.parametrize("sample", ["nan", "inf", "-inf", "1e30", "1e300"])
def test_what_is_no_sound(tmp_path, sample):
    samples = numpy.zeros((40000, 2))
    samples[30000, 1] = float(sample)
    path = write(tmp_path / "float.wav", samples, subtype="DOUBLE")
    words = "float.wav: a sample within 0.00 to 2.50 s is NaN"
    with pytest.raises(ValueError, match=words):
        check_audio([path])
    samples[30000, 1] = 2.0**31
    check_audio([write(path, samples, subtype="FLOAT")])


def test_what_is_too_short(tmp_path):
    recognizer = SimpleNamespace(
        audio_normalizer=SimpleNamespace(sample_rate=16000),
        mods=SimpleNamespace(encoder=lambda wav: wav.unfold(1, 400, 160)),
        device="cpu",
    )
    paths = [write(tmp_path / f"{n}.wav", [0.0] * n) for n in (399, 400)]
    with pytest.raises(ValueError, match="399.wav: shorter than the 0.0250 s"):
        check_durations(recognizer, paths)
    check_durations(recognizer, paths[1:])


@pytest.mark.parametrize("least", [1, 2, 3, 15, 16])
def test_the_shortest_input(least):
    def encode(wav):
        if wav.shape[1] < least:
            raise RuntimeError("too short")
        return wav

    assert shortest_input(encode, 16) == least
    with pytest.raises(RuntimeError, match="too short"):
        shortest_input(encode, least - 1)
    # No frames are no output, too.
    assert shortest_input(lambda wav: wav[:, least - 1 :], 16) == least


def test_a_network_that_takes_nothing():
    with pytest.raises(RuntimeError):
        shortest_input(lambda wav: torch.zeros(1)[wav.shape[1] :].max(), 9)
