"""Manifests and their transcripts."""

import json
import unicodedata
from pathlib import Path

from speechbrain_ligru_fast.training.fingerprint import digits


def read_manifest(manifest):
    """The utterances of a manifest: JSON, utterance id -> its items.

    Raises FileNotFoundError if there is no such file, ValueError if it holds
    no utterance.
    """
    manifest = Path(manifest)
    if not manifest.is_file():
        raise FileNotFoundError(
            f"no manifest {manifest}: prepare the corpus first (skip_prep "
            "must be False unless that was done)"
        )
    try:
        items = json.loads(manifest.read_text("utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"manifest {manifest} is no JSON: {error}") from error
    if not items:
        raise ValueError(f"manifest {manifest} holds no utterance")
    return items


def read_texts(manifest, key):
    """The transcripts of a manifest, utterance id -> transcript.

    Raises ValueError if an utterance lacks `key`, which is ``wrd`` or
    ``phn``, or has an empty transcript.
    """
    items = read_manifest(manifest)
    lacking = [name for name, item in items.items() if key not in item]
    if lacking:
        raise ValueError(f"manifest {manifest}: no {key!r} for {few(lacking)}")
    texts = {name: item[key] for name, item in items.items()}
    empty = [name for name, text in texts.items() if not text.strip()]
    if empty:
        raise ValueError(
            f"manifest {manifest}: empty transcript {key!r} for {few(empty)}"
        )
    return texts


def hash_manifest(path, key):
    """Eight digits for a manifest's utterances, transcripts and durations."""
    # Text alone, for a language model, has no duration.
    lasts = {k: x.get("duration", 0) for k, x in read_manifest(path).items()}
    lines = sorted(
        json.dumps([name, said, round(float(lasts[name]), 4)])
        for name, said in read_texts(path, key).items()
    )
    return digits("\n".join(lines))


def few(names, limit=5):
    """The first names and how many more there are, for messages.

    Example
    -------
    >>> few(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def normalize_text(text, letter_case=None):
    """A transcript as it is trained on and scored.

    In Unicode's composed form (NFC), so that letters that look alike are
    alike, with one space between words; ``letter_case`` upper or lower makes
    its letters so.

    Example
    -------
    >>> normalize_text(" It's  nine ", "upper")
    "IT'S NINE"
    """
    if letter_case not in (None, "upper", "lower"):
        raise ValueError(
            f"letter_case must be null, upper or lower, got {letter_case!r}"
        )
    if letter_case:
        text = getattr(text, letter_case)()
    return " ".join(unicodedata.normalize("NFC", text).split())
