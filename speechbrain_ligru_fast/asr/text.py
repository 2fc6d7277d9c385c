"""Transcripts, tokens and back.

Both kinds of tokenizer have sentencepiece's two verbs, ``encode_as_ids`` and
``decode_ids``, which is all that SpeechBrain's inference interface asks for.
"""

import json
import logging
from pathlib import Path

import sentencepiece

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


def few(names, limit=5):
    """The first names and how many more there are, for messages.

    Example
    -------
    >>> few(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


class LabelTokenizer:
    """Space-separated labels, phones say, after a few special tokens.

    Arguments
    ---------
    labels : list of str
        All that may occur.
    special : int
        How many of the first ids are blank, bos, eos and the like.

    Example
    -------
    >>> tokenizer = LabelTokenizer(["aa", "b", "sil"], special=3)
    >>> tokenizer.encode_as_ids("sil b aa sil")
    [5, 4, 3, 5]
    >>> tokenizer.decode_ids([5, 4, 0])
    'sil b'
    """

    def __init__(self, labels, special=3):
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"labels hold {', '.join(twice)} more than once")
        self.labels = list(labels)
        self.special = special
        self._ids = {label: i for i, label in enumerate(labels, special)}

    def get_piece_size(self):
        """Number of ids, special ones included."""
        return self.special + len(self.labels)

    def encode_as_ids(self, text):
        """Ids of a text.

        Raises
        ------
        ValueError
            If a label is not one of `labels`.
        """
        try:
            return [self._ids[label] for label in text.split()]
        except KeyError as error:
            raise ValueError(
                f"label {error} in {text!r} is not one of the tokenizer's: "
                f"{' '.join(self.labels)}"
            ) from None

    def decode_ids(self, ids):
        """Text of ids; special tokens are left out."""
        return " ".join(
            self.labels[i - self.special] for i in ids if i >= self.special
        )


def train_sentencepiece(
    texts, model_file, vocab_size, model_type, special, seed
):
    """Train a sub-word model. A model that exists is kept.

    The first ids are, in this order, blank (sentencepiece's unknown), bos and
    eos: joint CTC and attention decoding needs three different ones.

    Arguments
    ---------
    texts : list of str
        Transcripts of the training set.
    model_file : path-like
        Where to write the model.
    vocab_size : int
        Number of ids, special ones included.
    model_type : str
        unigram, bpe, char or word.
    special : mapping
        The ids of ``blank``, ``bos`` and ``eos``.
    seed : int
        Makes training repeatable.

    Raises
    ------
    ValueError
        If the texts do not give `vocab_size` tokens.
    """
    model_file = Path(model_file)
    if model_file.exists():
        return
    model_file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = model_file.with_name("unfinished-" + model_file.stem)
    sentencepiece.set_random_generator_seed(seed)
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_prefix=str(unfinished),
            vocab_size=vocab_size,
            model_type=model_type,
            character_coverage=1.0,
            unk_id=special["blank"],
            bos_id=special["bos"],
            eos_id=special["eos"],
            pad_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ValueError(
            f"output_neurons={vocab_size} does not suit these transcripts "
            f"with token_type={model_type!r}: {error}"
        ) from error
    Path(f"{unfinished}.vocab").rename(model_file.with_suffix(".vocab"))
    Path(f"{unfinished}.model").rename(model_file)
    logger.info("Trained a %s tokenizer: %s", model_type, model_file)


def unknown_characters(tokenizer, text):
    """The pieces of a text that a sentencepiece model does not know.

    Arguments
    ---------
    tokenizer : SentencePieceProcessor
    text : str

    Returns
    -------
    list of str
    """
    pieces = tokenizer.encode_as_pieces(text)
    return [p for p in pieces if tokenizer.piece_to_id(p) == tokenizer.unk_id()]


def prepare_tokenizer(hparams):
    """Train the tokenizer of an experiment on its training transcripts.

    Arguments
    ---------
    hparams : dict
        Of the experiment: train_annotation, text, tokenizer_file,
        output_neurons, token_type, the special ids, seed.
    """
    train_sentencepiece(
        list(read_texts(hparams["train_annotation"], hparams["text"]).values()),
        hparams["tokenizer_file"],
        vocab_size=hparams["output_neurons"],
        model_type=hparams["token_type"],
        special={
            name: hparams[f"{name}_index"] for name in ("blank", "bos", "eos")
        },
        seed=hparams["seed"],
    )
