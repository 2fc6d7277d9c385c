"""Annotations of one's own: SpeechBrain's, Kaldi's or lhotse's."""

import csv
import gzip
import json
import zlib
from pathlib import Path

from speechbrain_ligru_fast.asr.files import read_lines

from .kaldi import read_kaldi
from .lhotse_cuts import read_cuts
from .utterance import Utterance, unique


def read_annotation(path, key):
    """Read whatever describes a set: a dictionary of its Utterances.

    That is a Kaldi data folder; SpeechBrain's ``.json`` or ``.csv``, with
    `key` naming the transcript; or lhotse's cuts in a ``.jsonl`` or
    ``.jsonl.gz``. ValueError says what is wrong with a whole file; what is
    wrong with one utterance is its problem.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no annotation {path}")
    name = path.name.lower()
    try:
        if path.is_dir():
            return read_kaldi(path)
        if name.endswith((".jsonl", ".jsonl.gz")):
            return unique(read_cuts(path))
        if name.endswith(".json"):
            return _read_json(path, key)
        if name.endswith(".csv"):
            return unique(_read_csv(path, key))
        wanted = "wanted a Kaldi data folder, SpeechBrain's .json or .csv, or "
        raise ValueError(f"{wanted}lhotse's cuts in a .jsonl or .jsonl.gz")
    except (ValueError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"annotation {path}: {error}") from error


def _read_json(path, key):
    items = json.loads("\n".join(read_lines(path)), object_pairs_hook=unique)
    if not isinstance(items, dict):
        kind = type(items).__name__
        raise ValueError(f"wanted ids, each with its items, got a {kind}")
    return {name: _utterance(item, key) for name, item in items.items()}


def _read_csv(path, key):
    lines = filter(str.strip, read_lines(path))
    columns, *rows = list(map(_cells, lines)) or [[]]
    for name in ("ID", "wav", key):
        if columns.count(name) != 1:
            got = f"{columns.count(name) or 'no'} column {name}"
            raise ValueError(f"{got}, wanted one, got {', '.join(columns)}")
    for row in rows:
        item = {name: cell for name, cell in zip(columns, row) if cell}
        utterance = _utterance(item, key)
        if len(row) != len(columns):
            problem = f"its row has not {len(columns)} cells, as the first"
            utterance = Utterance(problem=problem)
        yield item.get("ID", ""), utterance


def _cells(line):
    """A row is one line: an open quotation mark would take in whole rows."""
    try:
        return next(csv.reader([line], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise ValueError(
            f"{line!r}: {error}. A text that begins with a quotation mark "
            'stands in quotes, with its own doubled: """so"" he said"'
        ) from error


def _utterance(item, key):
    """What SpeechBrain's recipes have: parts by ``start`` and ``stop``."""
    wav = item.get("wav") if isinstance(item, dict) else None
    part = wav if isinstance(wav, dict) else wav and {**item, "file": wav}
    if not part or not isinstance(part.get("file"), str):
        return Utterance(problem="it has no 'wav', a path or {'file': a path}")
    text, speaker, duration = map(item.get, (key, "spk_id", "duration"))
    if not isinstance(text, str | None):
        return Utterance(problem=f"its {key!r} is no text: {text!r}")
    try:
        numbers = map(part.get, ("start", "stop", "channel"))
        start, stop, channel = map(_whole, numbers)
        duration = None if duration is None else float(duration)
    except (TypeError, ValueError) as error:
        return Utterance(problem=f"its start, stop, channel, duration: {error}")
    return Utterance(
        part["file"],
        text,
        None if speaker is None else str(speaker),
        start=start or 0,
        # SpeechBrain takes a part that ends where it starts for the rest.
        stop=None if stop == (start or 0) else stop,
        in_samples=True,
        channel=channel,
        duration=duration,
    )


def _whole(number):
    """A count of samples, never rounded: a fraction would be seconds."""
    if number is None:
        return None
    if not float(number).is_integer():
        raise ValueError(f"{number}, wanted whole numbers, of samples")
    return int(float(number))
