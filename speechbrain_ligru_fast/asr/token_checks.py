"""Whether a tokenizer suits the texts and the ids of an experiment."""

import logging

from speechbrain_ligru_fast.asr.text import few

logger = logging.getLogger(__name__)

_MANY = 2**20  # words or names to keep in memory


def unknown_pieces(tokenizer, text):
    """The characters or labels of a text that a tokenizer does not know.

    Arguments
    ---------
    tokenizer : LabelTokenizer | SentencePieceProcessor
    text : str

    Returns
    -------
    list of str
    """
    pieces = tokenizer.encode_as_pieces(text)
    return [p for p in pieces if tokenizer.piece_to_id(p) == tokenizer.unk_id()]


def check_tokens(tokenizer, texts, source, fatal=True):
    """Tell which transcripts the tokenizer can't spell.

    Arguments
    ---------
    tokenizer : LabelTokenizer | SentencePieceProcessor
    texts : iterable of (str, str)
        Utterance id and transcript.
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
    bad, unknown, known = [], set(), set()
    for name, text in texts:
        # Of millions of lines most have no new word.
        words = set(text.split()) - known
        strange = unknown_pieces(tokenizer, " ".join(words)) if words else []
        if strange:
            bad.append(name)
            unknown.update(strange)
        elif len(known) < _MANY:
            known |= words
        if len(bad) == _MANY:
            break
    if not bad:
        return
    message = (
        f"{source}: the tokenizer does not know "
        f"{sorted(unknown)}, which is in {few(bad)}"
    )
    if fatal:
        raise ValueError(message)
    logger.warning(message)


def check_special(tokenizer, hparams, *keys):
    """Refuse ids of blank, begin or end that stand for real tokens.

    They may be one and the same: those of SpeechBrain's LibriSpeech recipes
    are all 0, the tokenizer's unknown.

    Arguments
    ---------
    tokenizer : LabelTokenizer | SentencePieceProcessor
    hparams : dict
        Of the experiment.
    *keys : str
        Such as ``bos_index``.

    Raises
    ------
    ValueError
        Naming the key and the ids that are free.

    Example
    -------
    >>> from speechbrain_ligru_fast.asr.tokenizer import LabelTokenizer
    >>> tokenizer = LabelTokenizer(["aa", "b"])
    >>> check_special(tokenizer, {"bos_index": 1}, "bos_index")
    """
    free = [
        i
        for i in range(tokenizer.get_piece_size())
        if tokenizer.is_unknown(i) or tokenizer.is_control(i)
    ]
    for key in keys:
        if hparams[key] in free:
            continue
        reason = f"{key}={hparams[key]} is none of the tokenizer's special ids"
        reason += f" {free}: a real token would stand for it."
        if len(free) == 1:
            zero = " ".join(f"--{key} {free[0]}" for key in keys)
            reason += (
                " One of SpeechBrain's defaults, as this is, takes "
                f"{zero} and for a recogniser --ctc_weight_decode 0, since "
                "joint decoding needs three"
            )
        raise ValueError(reason)
