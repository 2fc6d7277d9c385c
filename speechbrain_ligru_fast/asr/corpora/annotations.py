"""Annotations of one's own: SpeechBrain's, Kaldi's or lhotse's."""

import csv
import json
from collections import Counter
from pathlib import Path

from speechbrain_ligru_fast.asr.files import read_lines

from .kaldi import read_kaldi
from .lhotse_cuts import read_cuts
from .utterance import Utterance


def read_annotation(path, text):
    """Read whatever describes the utterances of a set.

    Arguments
    ---------
    path : path-like
        A Kaldi data folder; SpeechBrain's ``.json`` or ``.csv``; lhotse's cuts
        in a ``.jsonl`` or ``.jsonl.gz``.
    text : str
        SpeechBrain's key or column of the transcript.

    Returns
    -------
    utterances : dict
        Id -> Utterance.
    files : list of Path
        What was read.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    ValueError
        For another kind of file, or one that is not what it should be.
    """
    path = Path(path)
    if path.is_dir():
        return read_kaldi(path)
    if not path.is_file():
        raise FileNotFoundError(f"no annotation {path}")
    name = path.name.lower()
    if name.endswith((".jsonl", ".jsonl.gz")):
        return read_cuts(path)
    readers = {".json": _read_json, ".csv": _read_csv}
    if path.suffix.lower() not in readers:
        raise ValueError(
            f"annotation {path}: wanted a Kaldi data folder, a .json or .csv "
            "of SpeechBrain's, or lhotse's cuts in a .jsonl or .jsonl.gz"
        )
    return readers[path.suffix.lower()](path, text), [path]


def _read_json(path, text):
    def unique(pairs):
        items = dict(pairs)
        if len(items) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            (key, _), *_ = counts.most_common(1)
            raise ValueError(f"{key} is there twice")
        return items

    try:
        items = json.loads(
            "\n".join(read_lines(path)), object_pairs_hook=unique
        )
    except ValueError as error:
        raise ValueError(f"annotation {path}: {error}") from error
    if not isinstance(items, dict):
        raise ValueError(
            f"annotation {path}: wanted utterance ids, each with its items, "
            f"got a {type(items).__name__}"
        )
    return {key: _item(item, text) for key, item in items.items()}


def _read_csv(path, text):
    try:
        columns, *rows = list(_csv_rows(path)) or [[]]
    except csv.Error as error:
        raise ValueError(
            f"annotation {path}: {error}. A text that begins with a quotation "
            'mark stands in quotes, with its own doubled: """so"" he said"'
        ) from error
    for name in ("ID", "wav", text):
        if columns.count(name) != 1:
            raise ValueError(
                f"annotation {path}: {columns.count(name) or 'no'} column "
                f"{name}, wanted one, got {', '.join(columns)}"
            )
    place, utterances = columns.index("ID"), {}
    for row in rows:
        key = row[place] if place < len(row) else ""
        if key in utterances:
            raise ValueError(f"annotation {path}: {key} is there twice")
        if len(row) != len(columns):
            utterances[key] = Utterance(
                problem=f"its row has not {len(columns)} cells, as the first"
            )
            continue
        cells = zip(columns, row)
        utterances[key] = _item({k: cell for k, cell in cells if cell}, text)
    return utterances


def _csv_rows(path):
    """Each a line: a quotation mark left open would take in whole rows."""
    rows = csv.reader(read_lines(path), skipinitialspace=True, strict=True)
    before = 0
    for row in rows:
        if rows.line_num != before + 1:
            raise csv.Error(
                f"the row from line {before + 1} goes on to line "
                f"{rows.line_num}: a quotation mark in it is not closed"
            )
        before = rows.line_num
        if row:
            yield row


def _item(item, text):
    """What SpeechBrain's recipes have: parts by ``start`` and ``stop``."""
    wav = item.get("wav") if isinstance(item, dict) else None
    part = wav if isinstance(wav, dict) else item
    file = wav.get("file") if isinstance(wav, dict) else wav
    if not isinstance(file, str):
        return Utterance(problem="it has no 'wav', a path or {'file': a path}")
    if not isinstance(item.get(text, ""), str):
        return Utterance(problem=f"its {text!r} is no text: {item[text]!r}")
    try:
        start, stop, channel = (
            None if part.get(name) is None else _whole(part[name])
            for name in ("start", "stop", "channel")
        )
        duration = item.get("duration")
        duration = None if duration is None else float(duration)
    except (TypeError, ValueError) as error:
        return Utterance(problem=f"its start, stop, channel, duration: {error}")
    speaker = item.get("spk_id")
    return Utterance(
        file=file,
        text=item.get(text),
        speaker=None if speaker is None else str(speaker),
        start=start or 0,
        # SpeechBrain takes a part that ends where it starts for the rest.
        stop=None if stop == (start or 0) else stop,
        in_samples=True,
        channel=channel,
        duration=duration,
    )


def _whole(number):
    """A count of samples, never rounded: a fraction would be seconds."""
    if not float(number).is_integer():
        raise ValueError(f"{number}, wanted whole numbers, of samples")
    return int(float(number))
