"""Sub-word units, and whether a tokenizer suits."""

import json
import logging
from hashlib import sha256
from pathlib import Path

import sentencepiece

from speechbrain_ligru_fast.asr.text import few, read_texts

# Where YAML files of earlier versions look for it
from speechbrain_ligru_fast.recognition.tokenizer import (  # noqa: F401
    phone_tokenizer,
)

logger = logging.getLogger(__name__)

_MANY = 2**20  # words or names to keep in memory
# What a sub-word model is trained with, beside the transcripts.
_OPTIONS = (
    *("output_neurons", "token_type", "blank_index", "bos_index", "eos_index"),
    "seed",
)


def check_tokenizer_file(hparams):
    """Whether an experiment's tokenizer is trained by itself.

    It is if it lies in save_folder. Elsewhere it must be there already: else
    FileNotFoundError.
    """
    model, folder = Path(hparams["tokenizer_file"]), hparams["save_folder"]
    if model.resolve().parent == Path(folder).resolve():
        return True
    if not model.is_file():
        raise FileNotFoundError(
            f"tokenizer_file: no file {model}. One is trained only in "
            f"save_folder, {folder}"
        )
    return False


def prepare_tokenizer(hparams):
    """Train the sub-word units of an experiment, unless that was done.

    One that lies elsewhere than in `save_folder` must be there. One beside
    checkpoints is theirs: the training's fingerprint has what it is of. One
    alone may be what an earlier start left, of other transcripts say: what it
    was trained from is kept beside it.
    """
    if not check_tokenizer_file(hparams):
        return
    model = Path(hparams["tokenizer_file"])
    texts = read_texts(hparams["train_annotation"], hparams["text"]).values()
    origin = {key: hparams[key] for key in _OPTIONS}
    origin["transcripts"] = sha256(repr([*texts]).encode()).hexdigest()
    origin = json.dumps(origin, indent=1)
    record = model.with_suffix(".json")
    if model.exists():
        trained = any(model.parent.glob("CKPT*"))
        # One without a record is the user's.
        if trained or not record.exists() or record.read_text() == origin:
            return
        model.unlink()
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(origin)
    train_sentencepiece(texts, model, hparams)


def train_sentencepiece(texts, model_file, hparams):
    """Train a sub-word model of `output_neurons` ids, special ones included.

    Blank is sentencepiece's unknown, which no known text contains; the other
    special ids may be the same. Raises ValueError if the texts do not give so
    many tokens.
    """
    size, kind, blank, bos, eos, seed = (hparams[key] for key in _OPTIONS)
    model_file = Path(model_file)
    model_file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = model_file.with_name("unfinished-" + model_file.stem)
    sentencepiece.set_random_generator_seed(seed)
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_prefix=str(unfinished),
            vocab_size=size,
            model_type=kind,
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
            f"output_neurons={size} does not suit these transcripts with "
            f"token_type={kind!r}: {error}"
        ) from error
    Path(f"{unfinished}.vocab").rename(model_file.with_suffix(".vocab"))
    Path(f"{unfinished}.model").rename(model_file)
    logger.info("Trained a %s tokenizer: %s", kind, model_file)


def check_tokens(tokenizer, texts, source, fatal=True):
    """Tell which transcripts a tokenizer can't spell.

    Of pairs of an utterance's id and its transcript; `source` is where they
    are from, for the message. A ValueError, or where it is not `fatal` a
    warning: at test time an unknown character is but an error of the
    recogniser.
    """
    bad, unknown, known = [], set(), set()
    for name, text in texts:
        # Of millions of lines most have no new word.
        words = set(text.split()) - known
        pieces = tokenizer.encode_as_pieces(" ".join(words)) if words else []
        ids = {piece: tokenizer.piece_to_id(piece) for piece in pieces}
        strange = {x for x, i in ids.items() if i == tokenizer.unk_id()}
        if strange:
            bad.append(name)
            unknown |= strange
        elif len(known) < _MANY:
            known |= words
        if len(bad) == _MANY:
            break
    if not bad:
        return
    message = f"{source}: the tokenizer does not know {sorted(unknown)}, "
    message += f"which is in {few(bad)}"
    if fatal:
        raise ValueError(message)
    logger.warning(message)


def check_special(tokenizer, hparams, *keys):
    """Refuse ids, by the keys of `hparams`, that stand for real tokens.

    They may be one and the same: those of SpeechBrain's LibriSpeech recipes
    are all 0, the tokenizer's unknown. Also refuses a tokenizer of another
    size than the layers that are trained with it.

    Example
    -------
    >>> from speechbrain_ligru_fast.recognition.tokenizer import LabelTokenizer
    >>> tokenizer = LabelTokenizer(["aa", "b"])
    >>> hparams = {"bos_index": 1, "output_neurons": 5}
    >>> check_special(tokenizer, hparams, "bos_index")
    """
    size, wanted = tokenizer.get_piece_size(), hparams["output_neurons"]
    if size != wanted:
        raise ValueError(
            f"output_neurons={wanted}, but the tokenizer has {size} tokens"
        )
    unknown, control = tokenizer.is_unknown, tokenizer.is_control
    free = [i for i in range(size) if unknown(i) or control(i)]
    wrong = [key for key in keys if hparams[key] not in free]
    if not wrong:
        return
    reason = f"{wrong[0]}={hparams[wrong[0]]} is none of the tokenizer's "
    reason += f"special ids {free}: a real token would stand for it."
    if len(free) == 1:
        zero = " ".join(f"--{key} {free[0]}" for key in keys)
        reason += (
            f" One of SpeechBrain's defaults, as this is, takes {zero} and for "
            "a recogniser --ctc_weight_decode 0, since joint decoding needs "
            "three"
        )
    raise ValueError(reason)
