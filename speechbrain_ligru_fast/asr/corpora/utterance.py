"""One utterance of a corpus, whatever describes it."""

import math
import os
from pathlib import Path
from typing import NamedTuple

from speechbrain_ligru_fast.asr.audio import BadAudio, audio_info


class Utterance(NamedTuple):
    """What a corpus says of an utterance.

    `start` and `stop`, before which it ends, are in seconds, or in samples as
    SpeechBrain has them. `problem` says why it can't be used; `items` are what
    else its manifest entry holds.
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
    items: tuple = ()


def unique(pairs):
    """A dictionary; ValueError names a key that would lose what it had.

    Example
    -------
    >>> unique([("a", 1), ("b", 2)])
    {'a': 1, 'b': 2}
    """
    known = {}
    for key, value in pairs:
        if key in known:
            both = f"{known[key]!s:.200} and {value!s:.200}"
            raise ValueError(f"{key} is there twice: {both}")
        known[key] = value
    return known


def audio_path(utterance, data_folder):
    """Where an utterance's audio is.

    Its file may begin with SpeechBrain's ``{data_root}`` or ``$data_root``,
    which stand for `data_folder`; relative paths are relative to it, too.

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


def make_entry(utterance, data_folder, key):
    """Make an utterance's manifest entry, with its transcript as `key`.

    Raises BadAudio if it, or its file, can't be used.
    """
    if utterance.problem:
        raise BadAudio(utterance.problem)
    path = audio_path(utterance, data_folder)
    audio = audio_info(path)
    start, stop = _span(utterance, path, audio)
    duration, said = (stop - start) / audio.sample_rate, utterance.duration
    near = {"rel_tol": 0.02, "abs_tol": 0.1}
    if said is not None and not math.isclose(said, duration, **near):
        there = f"{path} has {duration:.2f} s for it"
        raise BadAudio(f"{there}, its annotation says {said:.2f} s")
    if not utterance.text:
        kind = "no" if utterance.text is None else "empty"
        raise BadAudio(f"{kind} transcript of {path}")
    # SpeechBrain's notation of a part of a file
    wav = {"file": _name(path, data_folder)}
    if stop - start < audio.frames:
        wav |= {"start": start, "stop": stop}
    channel = utterance.channel
    if channel is not None and not 0 <= channel < audio.channels:
        there = f"{path}, which has {audio.channels}, counted from 0"
        raise BadAudio(f"it is channel {channel} of {there}")
    if channel is not None and audio.channels > 1:
        wav["channel"] = channel
    entry = {"wav": wav if len(wav) > 1 else wav["file"], "duration": duration}
    if utterance.speaker:
        entry["spk_id"] = utterance.speaker
    return entry | {key: utterance.text} | dict(utterance.items)


def _span(utterance, path, audio):
    """Where it starts and stops, in samples of its file."""
    per_unit = 1 if utterance.in_samples else audio.sample_rate
    start, stop = utterance.start * per_unit, audio.frames
    if utterance.stop is not None:
        stop = utterance.stop * per_unit
    if math.isfinite(start + stop):
        start, stop = round(start), round(stop)
    if not 0 <= start < min(stop, audio.frames):
        there = f"of the {audio.frames} samples in {path}"
        raise BadAudio(f"it is from {start} to {stop} {there}")
    late = (stop - audio.frames) / audio.sample_rate
    if late > 0.5:  # Kaldi's limit, in seconds
        raise BadAudio(f"it ends {late:.2f} s after {path}")
    return start, min(stop, audio.frames)


def _name(path, data_folder):
    """A path as manifests have it; below data_folder it may move with it."""
    path, root = (Path(os.path.abspath(p)) for p in (path, data_folder))
    inside = path.is_relative_to(root)
    return f"{{data_root}}/{path.relative_to(root)}" if inside else str(path)
