"""Transcripts of a manifest, and what a tokenizer makes of them."""

import hashlib
import json
import logging
from pathlib import Path

from speechbrain_ligru_fast.asr.tokenizer import (
    train_sentencepiece,
    unknown_pieces,
)

logger = logging.getLogger(__name__)


def read_texts(manifest, key):
    """The transcripts of a manifest.

    Arguments
    ---------
    manifest : path-like
        JSON, utterance id -> its items.
    key : str
        ``wrd`` or ``phn``.

    Returns
    -------
    dict
        Utterance id -> transcript.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is empty, lacks `key` or has an empty transcript.
    """
    manifest = Path(manifest)
    if not manifest.is_file():
        raise FileNotFoundError(
            f"no manifest {manifest}: prepare the corpus first (skip_prep "
            "must be False unless that was done)"
        )
    items = json.loads(manifest.read_text(encoding="utf-8"))
    if not items:
        raise ValueError(f"manifest {manifest} holds no utterance")
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


def check_tokens(tokenizer, texts, source, fatal=True):
    """Tell which transcripts the tokenizer can't spell.

    Arguments
    ---------
    tokenizer : LabelTokenizer | SentencePieceProcessor
    texts : dict
        Utterance id -> transcript.
    source : path-like
        Where they are from, for the message.
    fatal : bool
        Raise, or warn: at test time an unknown character is but an error of
        the recogniser.

    Raises
    ------
    ValueError
        Naming the characters or labels and the utterances.
    """
    bad, unknown = [], set()
    for name, text in texts.items():
        strange = unknown_pieces(tokenizer, text)
        if strange:
            bad.append(name)
            unknown.update(strange)
    if not bad:
        return
    message = (
        f"{source}: the tokenizer does not know "
        f"{sorted(unknown)}, which is in {few(bad)}"
    )
    if fatal:
        raise ValueError(message)
    logger.warning(message)


def prepare_tokenizer(hparams):
    """Train the sub-word units of an experiment, unless that was done.

    What a tokenizer among the checkpoints was trained from is kept beside it:
    an earlier start, of other transcripts say, may have left it.

    Arguments
    ---------
    hparams : dict
        Of the experiment: train_annotation, text, save_folder,
        tokenizer_file, output_neurons, token_type, the special ids, seed,
        trains_in_folder.

    Raises
    ------
    ValueError
        If there are checkpoints of another tokenizer.
    """
    texts = list(
        read_texts(hparams["train_annotation"], hparams["text"]).values()
    )
    options = {
        "vocab_size": hparams["output_neurons"],
        "model_type": hparams["token_type"],
        "blank": hparams["blank_index"],
        "bos": hparams["bos_index"],
        "eos": hparams["eos_index"],
        "seed": hparams["seed"],
    }
    model, folder = (
        Path(hparams["tokenizer_file"]),
        Path(hparams["save_folder"]),
    )
    if model.resolve().parent == folder.resolve():
        words = hashlib.sha256(repr(texts).encode()).hexdigest()
        origin = {**options, "transcripts": words}
        _keep_origin(model, origin, hparams["trains_in_folder"])
    train_sentencepiece(texts, model, **options)


def _keep_origin(model, origin, trains):
    """Removes a tokenizer of another origin, or refuses to.

    Unless something is trained with it, what is trained keeps its own.
    """
    record = model.with_suffix(".json")
    if model.exists():
        # One without a record is of an older version.
        begun = json.loads(record.read_text()) if record.exists() else origin
        if begun == origin:
            return
        if any(model.parent.glob("CKPT*")):
            if not trains:
                return
            changed = sorted(k for k in origin if begun.get(k) != origin[k])
            raise ValueError(
                f"{model} was trained with other {', '.join(changed)}, and "
                "the checkpoints beside it with that tokenizer. Give another "
                "output_folder"
            )
        model.unlink()
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(origin, indent=1))


def few(names, limit=5):
    """The first names and how many more there are, for messages.

    Example
    -------
    >>> few(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
