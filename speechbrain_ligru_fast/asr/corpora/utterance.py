"""One utterance of a corpus of one's own, whatever describes it."""

import os
from pathlib import Path
from typing import NamedTuple

from speechbrain_ligru_fast.asr.audio import audio_info
from speechbrain_ligru_fast.asr.text import normalize_text

from .manifest import BadUtterance

# Kaldi's limit for segments that end after their recording, in seconds
_OVERSHOOT = 0.5


class Utterance(NamedTuple):
    """What an annotation says of an utterance.

    `start` and `stop`, before which it ends, are in seconds, or in samples as
    SpeechBrain has them. `problem` says why it can't be used.
    """

    file: str = ""
    text: str | None = None
    speaker: str | None = None
    start: float = 0
    stop: float | None = None
    in_samples: bool = False
    channel: int | None = None
    duration: float | None = None
    problem: str | None = None


def audio_path(utterance, data_folder):
    """Where an utterance's audio is.

    Arguments
    ---------
    utterance : Utterance
        Its file may begin with SpeechBrain's ``{data_root}`` or
        ``$data_root``.
    data_folder : path-like
        What that stands for, and what relative paths are relative to.

    Returns
    -------
    Path

    Example
    -------
    >>> audio_path(Utterance("{data_root}/a.wav"), "/data").as_posix()
    '/data/a.wav'
    """
    name = utterance.file
    for root in ("{data_root}", "$data_root", "${data_root}"):
        if name.startswith(root):
            name = name.removeprefix(root).lstrip("/")
    return Path(data_folder, name)


def read_utterance(utterance, data_folder, text, letter_case=None):
    """Make the manifest entry of an utterance.

    Arguments
    ---------
    utterance : Utterance
    data_folder : path-like
        See `audio_path`.
    text : str
        Key of the transcript.
    letter_case : None, "upper" or "lower"
        See normalize_text.

    Returns
    -------
    entry : dict
    audio : AudioInfo

    Raises
    ------
    BadUtterance
        If it can't be used.
    BadAudio
        For a file that can't be read.
    """
    if utterance.problem:
        raise BadUtterance(utterance.problem)
    path = audio_path(utterance, data_folder)
    audio = audio_info(path)
    wav, frames = _part(utterance, path, audio, data_folder)
    duration = frames / audio.sample_rate
    said = utterance.duration
    if said is not None and abs(said - duration) > max(0.1, 0.02 * said):
        raise BadUtterance(
            f"{path} has {duration:.2f} s for it, its annotation says "
            f"{said:.2f} s"
        )
    words = normalize_text(utterance.text or "", letter_case)
    if not words:
        kind = "no" if utterance.text is None else "empty"
        raise BadUtterance(f"{kind} transcript of {path}")
    entry = {"wav": wav, "duration": duration}
    if utterance.speaker:
        entry["spk_id"] = utterance.speaker
    return entry | {text: words}, audio


def _part(utterance, path, audio, data_folder):
    """SpeechBrain's notation of a file or a part of it, and its frames."""
    per_unit = 1 if utterance.in_samples else audio.sample_rate
    start, stop = round(utterance.start * per_unit), audio.frames
    if utterance.stop is not None:
        stop = round(utterance.stop * per_unit)
    if not 0 <= start < min(stop, audio.frames):
        raise BadUtterance(
            f"it is from {start} to {stop} of the {audio.frames} samples in "
            f"{path}"
        )
    if stop > audio.frames + _OVERSHOOT * audio.sample_rate:
        raise BadUtterance(
            f"it ends {(stop - audio.frames) / audio.sample_rate:.2f} s after "
            f"{path}"
        )
    stop = min(stop, audio.frames)
    channel = utterance.channel
    if channel is not None and not 0 <= channel < audio.channels:
        raise BadUtterance(
            f"it is channel {channel} of {path}, which has {audio.channels}, "
            "counted from 0"
        )
    file = _name(path, data_folder)
    part = {"file": file}
    if (start, stop) != (0, audio.frames):
        part |= {"start": start, "stop": stop}
    if channel is not None and audio.channels > 1:
        part["channel"] = channel
    return file if len(part) == 1 else part, stop - start


def _name(path, data_folder):
    """A path as manifests have it; below data_folder it may move with it."""
    path = Path(os.path.abspath(path))
    root = Path(os.path.abspath(data_folder))
    if path.is_relative_to(root):
        return f"{{data_root}}/{path.relative_to(root).as_posix()}"
    return path.as_posix()
