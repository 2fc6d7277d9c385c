"""Audio of any sample rate and number of channels, for one recogniser."""

from pathlib import Path
from typing import NamedTuple

import soundfile
import torch
from speechbrain.dataio.preprocess import AudioNormalizer


class BadAudio(Exception):
    """Audio, or an utterance, that cannot be used; the message says why."""


class AudioInfo(NamedTuple):
    """What a file holds."""

    frames: int
    sample_rate: int
    channels: int


def audio_info(path):
    """Look at an audio file of any format that libsndfile reads.

    Only the header and the last frame are decoded: that finds truncated
    files and costs the same for short and long ones. Raises BadAudio for one
    that is missing, unreadable, empty or truncated.
    """
    if not Path(path).is_file():
        raise BadAudio(f"no audio file {path}")
    try:
        with soundfile.SoundFile(path) as audio:
            if audio.frames == 0:
                raise BadAudio(f"empty audio file {path}")
            audio.seek(audio.frames - 1)
            if len(audio.read(1)) == 0:
                raise BadAudio(f"truncated audio file {path}")
            return AudioInfo(audio.frames, audio.samplerate, audio.channels)
    except (OSError, RuntimeError) as error:
        raise BadAudio(f"unreadable audio file {path}: {error}") from error


class AudioReader:
    """Reads audio as mono of one sample rate.

    By SpeechBrain's AudioNormalizer, as its inference interfaces do:
    resampled where the rate is another, then the mean of all channels.

    Arguments
    ---------
    sample_rate : int
        What is wanted.

    Example
    -------
    >>> path = str(getfixture("tmp_path") / "stereo.wav")
    >>> soundfile.write(path, [[0.5, 0.0]] * 480, 48000)
    >>> AudioReader(16000)(path).shape
    torch.Size([160])
    >>> AudioReader(48000)({"file": path, "stop": 2, "channel": 1})
    tensor([0., 0.])
    """

    def __init__(self, sample_rate):
        self.normalize = AudioNormalizer(sample_rate)

    def __call__(self, wav):
        """Read a file, or a part of one, as (samples,).

        The part is in SpeechBrain's notation: ``file`` and, in samples of
        that file, ``start`` and ``stop``, before which it ends. Or also
        ``channel``, the one to take instead of the mean, from 0.
        """
        part = wav if isinstance(wav, dict) else {"file": wav}
        signal, rate = soundfile.read(
            part["file"],
            start=part.get("start", 0),
            stop=part.get("stop"),
            dtype="float32",
            always_2d=True,
        )
        channel = part.get("channel")
        if channel is None and signal.shape[1] == 1:
            channel = 0
        if channel is not None:
            # Contiguous, for the batch that it is copied into.
            signal = signal[:, channel].copy()
        return self.normalize(torch.from_numpy(signal), rate)
