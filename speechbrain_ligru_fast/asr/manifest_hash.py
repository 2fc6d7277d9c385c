"""A name for what a manifest says, wherever its audio lies."""

import hashlib
import json

from speechbrain_ligru_fast.asr.text import read_manifest, read_texts


def hash_manifest(path, text):
    """Eight digits for the utterances, their transcripts and durations.

    Arguments
    ---------
    path : path-like
        JSON, utterance id -> duration, transcript and more.
    text : str
        Which of an utterance's keys is the transcript.

    Returns
    -------
    str

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.json"
    >>> def named(**manifest):
    ...     _ = path.write_text(json.dumps(manifest))
    ...     return hash_manifest(path, "wrd")
    >>> a = {"wrd": "ONE", "duration": 1.0, "wav": "/here/a.flac"}
    >>> b = {"wrd": "TWO", "duration": 2.0, "wav": "/here/b.flac"}
    >>> first = named(a=a, b=b)
    >>> first == named(b=b, a=a | {"wav": "/there/a.flac"})
    True
    >>> first == named(a=a, b=b | {"wrd": "TOO"})
    False
    """
    durations = read_manifest(path)
    lines = sorted(
        json.dumps([key, said, _duration(durations[key])])
        for key, said in read_texts(path, text).items()
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8]


def _duration(entry):
    # Text alone, for a language model, has none.
    return round(float(entry.get("duration", 0)), 4)
