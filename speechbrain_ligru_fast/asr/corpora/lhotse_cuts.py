"""lhotse's cut sets, without lhotse."""

import gzip
import json

from speechbrain_ligru_fast.asr.files import decode_line

from .utterance import Utterance

_WRITE = "write it to files by save_audios"


def read_cuts(path):
    """Yield id and Utterance of each cut that is a part of a recording.

    They are JSON lines, ``.gz`` or not, as ``CutSet.to_file`` writes them. An
    utterance is what a cut's one supervision covers. ValueError names the line
    that is no cut, or of which lhotse would compute the audio.
    """
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rb") as file:
        for number, line in enumerate(file, 1):
            text = decode_line(line, path, number)
            try:
                if text.strip():
                    yield _read(json.loads(text))
            except (KeyError, TypeError, ValueError) as error:
                kind = type(error).__name__
                raise ValueError(f"line {number}: {kind} {error}") from error


def _read(cut):
    kind = cut.get("type") if isinstance(cut, dict) else None
    if kind not in ("MonoCut", "MultiCut") or "recording" not in cut:
        raise ValueError(
            f"no cut that is part of a recording (type {kind!r}). Make cuts of "
            "recordings and supervisions by CutSet.from_manifests; what is "
            f"mixed, padded or has but features: {_WRITE}"
        )
    recording = cut["recording"]
    # Reading resamples as well.
    changes = {t["name"] for t in recording.get("transforms") or []}
    if changes - {"Resample"}:
        raise ValueError(f"{', '.join(changes)} changes the audio: {_WRITE}")
    supervisions = cut.get("supervisions", [])
    if len(supervisions) != 1:
        return cut["id"], Utterance(
            problem=f"its cut has {len(supervisions)} supervisions, wanted "
            "one: CutSet.trim_to_supervisions makes a cut of each"
        )
    (supervision,) = supervisions
    text = supervision.get("text")
    if not isinstance(text, str | None):
        raise TypeError(f"its text is {text!r}")
    begin = supervision.get("start", 0)
    end = min(begin + supervision["duration"], cut["duration"])
    file, channel = _source(recording["sources"], cut.get("channel", 0))
    return cut["id"], Utterance(
        file,
        text,
        supervision.get("speaker"),
        start=cut["start"] + max(begin, 0),
        stop=cut["start"] + end,
        channel=channel,
    )


def _source(sources, channels):
    """The file, and which of its channels, where it is not all of them."""
    wanted = {*channels} if isinstance(channels, list) else {channels}
    for source in sources:
        there = source["channels"]
        if wanted == {*there} or (len(wanted) == 1 and wanted < {*there}):
            if source["type"] != "file":
                raise ValueError(f"its source is a {source['type']}: {_WRITE}")
            whole = wanted == {*there}
            return source["source"], None if whole else there.index(*wanted)
    raise ValueError(f"no file has channels {sorted(wanted)} alone: {_WRITE}")
