"""Transcripts of a manifest, and what a tokenizer makes of them."""

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

    Arguments
    ---------
    hparams : dict
        Of the experiment: train_annotation, text, tokenizer_file,
        output_neurons, token_type, the special ids, seed.
    """
    texts = read_texts(hparams["train_annotation"], hparams["text"])
    train_sentencepiece(
        texts.values(),
        hparams["tokenizer_file"],
        vocab_size=hparams["output_neurons"],
        model_type=hparams["token_type"],
        blank=hparams["blank_index"],
        bos=hparams["bos_index"],
        eos=hparams["eos_index"],
        seed=hparams["seed"],
    )


def few(names, limit=5):
    """The first names and how many more there are, for messages.

    Example
    -------
    >>> few(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
