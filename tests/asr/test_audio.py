"""Audio of any rate and channels is read as inference reads it."""

import pytest
import soundfile
import torch
from speechbrain.dataio.preprocess import AudioNormalizer

from speechbrain_ligru_fast.asr.audio import AudioReader, BadAudio, audio_info


def test_any_rate_and_channels_as_inference_reads_them(tmp_path):
    noise = 0.1 * torch.randn(9600, 2, generator=torch.manual_seed(1))
    path = str(tmp_path / "a.wav")
    soundfile.write(path, noise.numpy(), 48000, "FLOAT")
    got = AudioReader(16000)(path)
    # What an export transcribes a file by.
    want = AudioNormalizer(16000)(noise, 48000)
    assert got.shape == (3200,) and torch.equal(got, want)
    part = {"file": path, "start": 300, "stop": 900, "channel": 1}
    want = AudioNormalizer(16000)(noise[300:900, 1], 48000)
    assert torch.equal(AudioReader(16000)(part), want)
    info = audio_info(path)
    assert info == (9600, 48000, 2)


@pytest.mark.parametrize(
    "kept, words",
    [
        (None, "no audio file"),
        (0, "unreadable audio file"),
        (99, "unreadable audio file"),
        # Its header, but not all of its frames
        (20000, "(unreadable|truncated) audio file"),
    ],
)
def test_audio_that_can_not_be_used(tmp_path, kept, words):
    path = tmp_path / "a.flac"
    if kept is not None:
        noise = torch.randn(40000, generator=torch.manual_seed(1)) / 9
        soundfile.write(path, noise.numpy(), 16000)
        path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadAudio, match=f"{words} .*a.flac"):
        audio_info(path)


def test_audio_without_a_frame(tmp_path):
    soundfile.write(tmp_path / "a.wav", [], 16000)
    with pytest.raises(BadAudio, match="empty audio file .*a.wav"):
        audio_info(tmp_path / "a.wav")
