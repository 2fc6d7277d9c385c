"""lhotse's cut sets, without lhotse."""

import gzip
import json
import zlib
from pathlib import Path

from speechbrain_ligru_fast.asr.files import decode_line

from .utterance import Utterance

_CUTS = ("MonoCut", "MultiCut")


def read_cuts(path):
    """Read a cut set whose cuts are parts of recordings in files.

    An utterance is what a cut's one supervision covers.

    Arguments
    ---------
    path : path-like
        JSON lines, ``.gz`` or not, as ``CutSet.to_file`` writes them.

    Returns
    -------
    utterances : dict
        Id -> Utterance.
    files : list of Path
        What was read.

    Raises
    ------
    ValueError
        Naming the line that is no cut, or of which lhotse would compute the
        audio: mixed, padded or perturbed.
    """
    path = Path(path)
    utterances = {}
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opened(path, "rb") as file:
            for number, line in enumerate(file, 1):
                text = decode_line(line, path, number)
                if not text.strip():
                    continue
                where = f"{path}, line {number}"
                try:
                    key, utterance = _read(_parse(text, where), where)
                except (KeyError, TypeError) as error:
                    raise ValueError(
                        f"{where} is no cut as lhotse writes them: "
                        f"{type(error).__name__} {error}"
                    ) from error
                if key in utterances:
                    raise ValueError(f"{where}: {key} is there twice")
                utterances[key] = utterance
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} can't be unpacked: {error}") from error
    return utterances, [path]


def _parse(text, where):
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{where} is no JSON: {error}") from error


def _read(cut, where):
    kind = cut.get("type") if isinstance(cut, dict) else None
    if kind not in _CUTS or "recording" not in cut:
        raise ValueError(
            f"{where} is no cut of a recording (type {kind!r}, wanted "
            f"{' or '.join(_CUTS)}). Recordings and supervisions are made into "
            "cuts by CutSet.from_manifests; what is mixed, padded or has but "
            "features is written to files by save_audios"
        )
    recording = cut["recording"]
    changes = [t["name"] for t in recording.get("transforms") or []]
    # Reading resamples as well.
    if set(changes) - {"Resample"}:
        raise ValueError(
            f"{where}: the recording is to be changed by "
            f"{', '.join(changes)}. Write it to files by save_audios"
        )
    supervisions = cut.get("supervisions", [])
    if len(supervisions) != 1:
        return cut["id"], Utterance(
            problem=f"its cut has {len(supervisions)} supervisions, wanted "
            "one: CutSet.trim_to_supervisions makes a cut of each"
        )
    (supervision,) = supervisions
    begin = max(supervision.get("start", 0), 0)
    end = supervision.get("start", 0) + supervision["duration"]
    file, channel = _source(recording, cut.get("channel", 0), where)
    return cut["id"], Utterance(
        file=file,
        text=supervision.get("text"),
        speaker=supervision.get("speaker"),
        start=cut["start"] + begin,
        stop=cut["start"] + min(end, cut["duration"]),
        channel=channel,
    )


def _source(recording, channels, where):
    """The file, and which of its channels, where it is not all of them."""
    wanted = channels if isinstance(channels, list) else [channels]
    for source in recording["sources"]:
        if not set(wanted) <= set(source["channels"]):
            continue
        if source["type"] != "file":
            raise ValueError(
                f"{where}: the recording's source is of type "
                f"{source['type']!r}, wanted a file: write it to one by "
                "save_audios"
            )
        if len(wanted) == len(source["channels"]):
            return source["source"], None
        if len(wanted) == 1:
            return source["source"], source["channels"].index(wanted[0])
    raise ValueError(
        f"{where}: no file has channel {', '.join(map(str, wanted))} alone or "
        "with no other"
    )
