"""Kaldi data folders."""

import re
from pathlib import Path

from speechbrain_ligru_fast.asr.files import read_lines

from .utterance import Utterance

_FILES = ("wav.scp", "text", "segments", "utt2spk", "utt2dur")


def read_kaldi(folder):
    """Read a Kaldi data folder: wav.scp and text; if there, the others.

    Arguments
    ---------
    folder : path-like
        With ``segments`` an utterance is a part of a recording of
        ``wav.scp``, else one of these. Speakers are those of ``utt2spk``,
        durations are compared with ``utt2dur``.

    Returns
    -------
    utterances : dict
        Id -> Utterance.
    files : list of Path
        What was read.

    Raises
    ------
    FileNotFoundError
        If there is no wav.scp or no text.
    ValueError
        For a line that is none of its file's, a key that is twice in a file,
        and recordings that are commands or in archives: nothing is run.
    """
    folder = Path(folder)
    paths = {name: folder / name for name in _FILES}
    missing = [n for n in ("wav.scp", "text") if not paths[n].is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} is no Kaldi data folder: there is no "
            f"{' and no '.join(missing)}"
        )
    there = {name: path for name, path in paths.items() if path.is_file()}
    tables = {name: _table(path) for name, path in there.items()}
    recordings = {
        key: _recording(name, f"{paths['wav.scp']}: {key}")
        for key, name in tables["wav.scp"].items()
    }
    parts = {key: Utterance(file) for key, file in recordings.items()}
    if "segments" in tables:
        parts = {
            key: _segment(line, recordings, f"{paths['segments']}: {key}")
            for key, line in tables["segments"].items()
        }
    texts = tables["text"]
    speakers = tables.get("utt2spk", {})
    durations = {
        key: _seconds(value, f"{paths['utt2dur']}: {key}")
        for key, value in tables.get("utt2dur", {}).items()
    }
    source = "segments" if "segments" in tables else "wav.scp"
    absent = Utterance(problem=f"it is in text, but not in {source}")
    utterances = {
        key: parts.get(key, absent)._replace(
            text=texts.get(key),
            speaker=speakers.get(key, key),
            duration=durations.get(key),
        )
        for key in sorted(parts.keys() | texts.keys())
    }
    return utterances, list(there.values())


def _table(path):
    """Key -> the rest of the line."""
    table = {}
    for number, line in enumerate(read_lines(path), 1):
        key, *rest = line.split(maxsplit=1)[:2] if line.strip() else ("",)
        if not key:
            continue
        if key in table:
            raise ValueError(f"{path}, line {number}: {key} is there twice")
        table[key] = rest[0].strip() if rest else ""
    return table


def _recording(name, where):
    if "|" in (name[:1], name[-1:]):
        raise ValueError(
            f"{where} is a command, {name!r}. Commands are not run: write "
            "what it gives to a file and put its path there"
        )
    if name in ("", "-"):
        raise ValueError(f"{where} has no file")
    if re.search(r":\d+(\[.*\])?$", name):
        raise ValueError(
            f"{where} is in an archive, {name!r}, which is not read: write it "
            "to a file and put its path there"
        )
    return name


def _segment(line, recordings, where):
    fields = line.split()
    if len(fields) not in (3, 4):
        raise ValueError(
            f"{where} is {line!r}, wanted 'recording start end' and, if there "
            "are several, the channel"
        )
    recording, start, stop = fields[:3]
    start, stop = _seconds(start, where), _seconds(stop, where)
    channel = None
    if len(fields) == 4 and fields[3] != "-1":
        if not fields[3].isdigit():
            raise ValueError(f"{where} has channel {fields[3]!r}, wanted 0, 1")
        channel = int(fields[3])
    if recording not in recordings:
        return Utterance(problem=f"its recording {recording} isn't in wav.scp")
    # Kaldi's -1 is the end of the recording.
    return Utterance(
        recordings[recording],
        start=start,
        stop=None if stop == -1 else stop,
        channel=channel,
    )


def _seconds(text, where):
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{where} has {text!r}, wanted seconds") from None
