"""A language model of the training transcripts, as an ARPA file."""

import contextlib
import io
from pathlib import Path

from speechbrain_ligru_fast.asr.files import read_lines
from speechbrain_ligru_fast.hybrid import packages

# No weight of a text that fits into memory is above it, in powers of ten.
_ROUNDING = 9


def make_arpa(texts, words, order, path):
    """Write an n-gram model, by Kneser and Ney's discounting.

    A word of the lexicon that no transcript has is read as a sentence of its
    own: it gets a small probability, rather than none.

    Arguments
    ---------
    texts : iterable of str
        Transcripts.
    words : list of str
        Of the lexicon.
    order : int
        2 for pairs of words, up to 5.
    path : pathlib.Path
        What to write.

    Raises
    ------
    ValueError
        For another order, no transcript, or so few that no n-gram can be
        discounted.
    """
    # Of order 1 kaldingram 0.1.2 counts the first words of lines only.
    if order not in (2, 3, 4, 5):
        raise ValueError(f"ngram_order must be 2 to 5, got {order!r}")
    lines = [" ".join(text.split()) for text in texts]
    if not any(lines):
        raise ValueError(
            "an empty language model: there is no transcript with a word to "
            "count n-grams of"
        )
    lines += sorted(set(words) - set(" ".join(lines).split()))
    text = path.with_suffix(".txt")
    text.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    command = ["--ngram-order", str(order), "--text", str(text)]
    with contextlib.redirect_stderr(io.StringIO()):
        packages.kaldingram.main([*command, "--lm", str(path)])
    _forbid_backing_off(path)
    check_arpa(path, words)


def _forbid_backing_off(path):
    """Let no history back off that every word has followed.

    Nothing is left for other words. kaldingram 0.1.2 divides 0 by 0 there but
    for rounding: a weight of 1e15, for which every path would back off.
    """
    lines = []
    for line in read_lines(path):
        ngram, tab, weight = line.rpartition("\t")
        if ngram.count("\t") == 1 and float(weight) > _ROUNDING:
            line = f"{ngram}{tab}-99"
        lines.append(f"{line}\n")
    path.write_text("".join(lines), "utf-8")


def check_arpa(path, words):
    """Refuse an ARPA file that lets nothing of the lexicon be said.

    Raises
    ------
    ValueError
        If none of `words` is in it, or the model has what is as good as
        impossible: n-grams that occur in the text, but only once, where every
        other does so, too.
    """
    known, seen, impossible = set(words), set(), 0
    for line in read_lines(Path(path)):
        probability, _, rest = line.partition("\t")
        ngram = rest.partition("\t")[0].split()
        if not ngram or ngram == ["<s>"]:
            continue
        if len(ngram) == 1:
            seen.update(ngram)
        impossible += float(probability) < -90
    if not seen & known:
        raise ValueError(
            f"an empty language model: {path} has no word of the lexicon"
        )
    if impossible:
        raise ValueError(
            f"language model {path}: {impossible} n-grams of the text have no "
            "probability, since all occur once; take a lower ngram_order"
        )
