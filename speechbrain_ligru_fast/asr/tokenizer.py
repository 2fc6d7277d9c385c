"""From text to tokens and back."""

import hashlib
import json
import logging
from pathlib import Path

import sentencepiece

from speechbrain_ligru_fast.asr.corpora.timit_phones import (
    LABELS_61,
    fold_phones,
)
from speechbrain_ligru_fast.asr.text import read_texts

logger = logging.getLogger(__name__)


class LabelTokenizer:
    """Space-separated labels, phones say, after a few special ids.

    It has sentencepiece's methods; like there, id 0 stands for what is
    unknown and is CTC's blank.

    Arguments
    ---------
    labels : list of str
        All that may occur.
    special : int
        How many of the first ids are blank, bos, eos and the like.

    Example
    -------
    >>> tokenizer = LabelTokenizer(["aa", "b", "sil"])
    >>> tokenizer.encode_as_ids("sil b aa sil")
    [5, 4, 3, 5]
    >>> tokenizer.decode_ids([5, 4, 2])
    'sil b'
    """

    def __init__(self, labels, special=3):
        self.labels = list(labels)
        self.special = special
        self._ids = {label: i for i, label in enumerate(labels, special)}

    def get_piece_size(self):
        """Number of ids, special ones included."""
        return self.special + len(self.labels)

    def unk_id(self):
        """The id of what is unknown."""
        return 0

    def is_unknown(self, i):
        """Whether an id stands for what is unknown."""
        return i == self.unk_id()

    def is_control(self, i):
        """Whether an id is special but not that."""
        return 0 < i < self.special

    def piece_to_id(self, piece):
        """The id of one label."""
        return self._ids.get(piece, self.unk_id())

    def encode_as_pieces(self, text):
        """The labels of a text."""
        return text.split()

    def encode_as_ids(self, text):
        """The ids of a text."""
        return [self.piece_to_id(p) for p in self.encode_as_pieces(text)]

    def decode_ids(self, ids):
        """The text of ids; special ones are left out."""
        return " ".join(
            self.labels[i - self.special] for i in ids if i >= self.special
        )


def phone_tokenizer(phn_set=39, special=3):
    """The tokenizer of TIMIT's phones.

    Arguments
    ---------
    phn_set : {39, 48, 61}
    special : int
        See LabelTokenizer.

    Returns
    -------
    LabelTokenizer

    Example
    -------
    >>> phone_tokenizer(39).get_piece_size()
    42
    """
    folded = fold_phones([(0, 0, label) for label in LABELS_61], phn_set)[0]
    return LabelTokenizer(sorted(set(folded)), special)


def train_sentencepiece(
    texts, model_file, vocab_size, model_type, blank, bos, eos, seed
):
    """Train a sub-word model. A model that exists is kept.

    Arguments
    ---------
    texts : iterable of str
        Transcripts of the training set.
    model_file : path-like
        Where to write the model.
    vocab_size : int
        Number of ids, special ones included.
    model_type : str
        unigram, bpe, char or word.
    blank, bos, eos : int
        Ids; blank is sentencepiece's unknown, which no known text contains.
        The others may be the same.
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
            # Else "½" is recognised as "1/2", and scored against "½".
            normalization_rule_name="identity",
            unk_id=blank,
            # -1: none of its own
            bos_id=-1 if bos == blank else bos,
            eos_id=-1 if eos in (blank, bos) else eos,
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


def check_tokenizer_file(hparams):
    """Whether an experiment's tokenizer is trained by itself.

    Arguments
    ---------
    hparams : dict
        Of the experiment: tokenizer_file, save_folder.

    Returns
    -------
    bool
        Whether it lies in save_folder; elsewhere it must be there.

    Raises
    ------
    FileNotFoundError
        If there is no tokenizer where one is said to be.
    """
    model, folder = (
        Path(hparams["tokenizer_file"]),
        Path(hparams["save_folder"]),
    )
    if model.resolve().parent == folder.resolve():
        return True
    if not model.is_file():
        raise FileNotFoundError(
            f"tokenizer_file: no file {model}. One is trained only in "
            f"save_folder, {folder}"
        )
    return False


def prepare_tokenizer(hparams):
    """Train the sub-word units of an experiment, unless that was done.

    One that lies elsewhere than in `save_folder` must be there. What a
    tokenizer among the checkpoints was trained from is kept beside it:
    an earlier start, of other transcripts say, may have left it.

    Arguments
    ---------
    hparams : dict
        Of the experiment: train_annotation, text, save_folder,
        tokenizer_file, output_neurons, token_type, the special ids, seed,
        trains_in_folder; allow_changes goes on with the tokenizer that there
        is.

    Raises
    ------
    FileNotFoundError
        If there is no tokenizer where one is said to be.
    ValueError
        If there are checkpoints of another tokenizer.
    """
    if not check_tokenizer_file(hparams):
        return
    model = Path(hparams["tokenizer_file"])
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
    words = hashlib.sha256(repr(texts).encode()).hexdigest()
    origin = {**options, "transcripts": words}
    goes_on = hparams.get("allow_changes") or not hparams["trains_in_folder"]
    _keep_origin(model, origin, goes_on)
    train_sentencepiece(texts, model, **options)


def _keep_origin(model, origin, goes_on):
    """Removes a tokenizer of another origin; beside checkpoints it refuses to.

    There, what goes on keeps the one that it was trained with.
    """
    record = model.with_suffix(".json")
    if model.exists():
        # One without a record is of an older version.
        begun = json.loads(record.read_text()) if record.exists() else origin
        if begun == origin:
            return
        if any(model.parent.glob("CKPT*")):
            if goes_on:
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
