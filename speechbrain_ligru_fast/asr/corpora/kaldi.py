"""Kaldi data folders."""

import os
import re

from speechbrain_ligru_fast.asr.files import read_lines

from .utterance import Utterance, unique

_FILES = ("wav.scp", "text", "segments", "utt2spk", "utt2dur")


def read_kaldi(folder):
    """The Utterances of wav.scp and text; if there, of the other files, too.

    With segments an utterance is a part of a recording of wav.scp, else one of
    these. ValueError names a line that is none of its file's.
    """
    tables = {name: _table(folder / name) for name in _FILES}
    scp, texts, segments, speakers, durations = tables.values()
    missing = [name for name in _FILES[:2] if tables[name] is None]
    if missing:
        lacks = f"there is no {' and no '.join(missing)}"
        raise FileNotFoundError(f"{folder} is no Kaldi data folder: {lacks}")
    source, parts = "wav.scp", {k: _recording(k, v) for k, v in scp.items()}
    if segments is not None:
        source = "segments"
        parts = {k: _segment(k, line, parts) for k, line in segments.items()}
    absent = Utterance(problem=f"it is in text, but not in {source}")
    durations = durations or {}
    durations = {k: _seconds(x, f"utt2dur: {k}") for k, x in durations.items()}
    return {
        key: parts.get(key, absent)._replace(
            text=texts.get(key),
            speaker=(speakers or {}).get(key, key),
            duration=durations.get(key),
        )
        for key in sorted(parts.keys() | texts.keys())
    }


def _table(path):
    """Key -> the rest of the line; None if there is no such file."""
    # Nor a link to one that is gone
    if not os.path.lexists(path):
        return None
    rows = filter(None, (line.split(maxsplit=1) for line in read_lines(path)))
    try:
        return unique((key, "".join(rest).rstrip()) for key, *rest in rows)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


def _recording(key, file):
    # A pipe, standard input or a place in an archive
    if file in ("", "-") or re.search(r"^\||\|$|:\d+(\[.*\])?$", file):
        raise ValueError(
            f"wav.scp: {key} is {file!r}, wanted a file. Commands are not run "
            "and archives are not read: write the audio to files"
        )
    return Utterance(file)


def _segment(key, line, recordings):
    where = f"segments: {key}"
    fields = re.fullmatch(r"(\S+)\s+(\S+)\s+(\S+)(?:\s+(-1|\d+))?", line)
    if not fields:
        wanted = "'recording start end' and, if there are several, the channel"
        raise ValueError(f"{where} is {line!r}, wanted {wanted}: 0, 1")
    recording, *times, channel = fields.groups("-1")
    start, stop = (_seconds(time, where) for time in times)
    if recording not in recordings:
        return Utterance(problem=f"its recording {recording} isn't in wav.scp")
    # Kaldi's -1 is the end of the recording, and no channel.
    return recordings[recording]._replace(
        start=start,
        stop=None if stop == -1 else stop,
        channel=None if channel == "-1" else int(channel),
    )


def _seconds(text, where):
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{where} has {text!r}, wanted seconds") from None
