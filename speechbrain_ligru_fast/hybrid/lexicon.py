"""What words are made of."""

import itertools
import logging
import re
from collections import Counter
from pathlib import Path

from speechbrain_ligru_fast.asr.files import read_lines
from speechbrain_ligru_fast.asr.text import few
from speechbrain_ligru_fast.recognition.phones import LABELS_61, fold_phones

logger = logging.getLogger(__name__)

EPSILON, BACKOFF = "<eps>", "#0"


class Lexicon:
    """Words, their pronunciations, and the integers that stand for them.

    Arguments
    ---------
    pronunciations : dict
        Word -> list of pronunciations, each a tuple of phones.
    silence : str | None
        The phone that may be heard before, between and after words. None for
        a lexicon whose words have their own, as TIMIT's phones.

    Attributes
    ----------
    phones : list of str
        In order, silence first; phone ``i`` is ``phones[i - 1]``.
    words : list of str
        In order; word ``i`` is ``words[i - 1]``.

    Example
    -------
    >>> lexicon = Lexicon({"A": [("AH",), ("EY",)], "AM": [("EY", "M")]}, "SIL")
    >>> lexicon.phones, lexicon.words
    (['SIL', 'AH', 'EY', 'M'], ['A', 'AM'])
    >>> lexicon.word_ids["AM"], lexicon.phone_ids["M"]
    (2, 4)
    """

    def __init__(self, pronunciations, silence=None):
        if not pronunciations:
            raise ValueError("the lexicon holds no word")
        self.pronunciations, self.silence = pronunciations, silence
        heard = set(itertools.chain(*sum(pronunciations.values(), [])))
        first = [] if silence is None else [silence]
        self.phones = first + sorted(heard - set(first))
        self.words = sorted(pronunciations)
        self.phone_ids = {p: i for i, p in enumerate(self.phones, 1)}
        self.word_ids = {w: i for i, w in enumerate(self.words, 1)}

    def told_apart(self):
        """Yield word, phones and the number of its disambiguation symbol.

        That is 0 where none is needed: of pronunciations that are alike, or
        begin others, each has its own, without which a graph of words can't be
        made deterministic (Mohri, Pereira, Riley 2002, section 3.1).
        """
        listed = [(w, p) for w in self.words for p in self.pronunciations[w]]
        alike = Counter(phones for _, phones in listed)
        begun = {p[:n] for p in alike for n in range(1, len(p))}
        used = Counter()
        for word, phones in listed:
            if alike[phones] > 1 or phones in begun:
                used[phones] += 1
            yield word, phones, used[phones]


def read_lexicon(path, silence="SIL", phones_file=None, stress=True):
    """The Lexicon of a file with a word and its phones in each line.

    As CMU's: a second pronunciation is ``WORD(2)``, or the word once more, and
    lines that begin with ``;;;`` are comments.

    Arguments
    ---------
    path : path-like
        The lexicon.
    silence : str
        The phone of silence.
    phones_file : path-like, optional
        The allowed phones, separated by white space. Default: any.
    stress : bool
        Whether the digits at the ends of phones, which tell a vowel's stress
        in CMU's dictionary, are a part of them.

    Raises
    ------
    ValueError
        For a line without phones or with a phone that is not allowed.

    Example
    -------
    >>> path = getfixture("tmp_path") / "some.dic"
    >>> _ = path.write_text("A AH\\nA(2) EY\\n")
    >>> read_lexicon(path).pronunciations
    {'A': [('AH',), ('EY',)]}
    """
    known = None
    if phones_file is not None:
        known = {*" ".join(read_lines(Path(phones_file))).split(), silence}
    found = {}
    for number, line in enumerate(read_lines(Path(path)), 1):
        if line.startswith(";;;") or not line.strip():
            continue
        word, *phones = line.split()
        where = f"lexicon {path}, line {number}: {word}"
        if not phones:
            raise ValueError(f"{where} has no phones")
        if not stress:
            phones = [phone.rstrip("012") or phone for phone in phones]
        unknown = sorted(set(phones) - (known or set(phones)))
        if unknown:
            raise ValueError(
                f"{where} has the unknown phone {', '.join(unknown)}; allowed "
                f"are those of {phones_file}: {' '.join(sorted(known))}"
            )
        word = re.sub(r"\(\d+\)$", "", word)
        if word in (EPSILON, "<s>", "</s>") or re.fullmatch(r"#\d+", word):
            raise ValueError(f"{where} is a symbol that graphs use")
        listed = found.setdefault(word, [])
        if tuple(phones) not in listed:
            listed.append(tuple(phones))
    return Lexicon(found, silence)


def phone_lexicon(phn_set):
    """A Lexicon whose words are TIMIT's phones, 39, 48 or 61.

    Example
    -------
    >>> len(phone_lexicon(39).words)
    39
    """
    folded, _ = fold_phones([(0, 1, label) for label in LABELS_61], phn_set)
    return Lexicon({phone: [(phone,)] for phone in sorted(set(folded))})


def check_words(lexicon, texts, allowed, manifest):
    """The ids of transcripts whose words all are in the lexicon.

    Arguments
    ---------
    lexicon : Lexicon
    texts : dict
        Utterance id -> transcript.
    allowed : float
        The share of transcripts that may have other words: they are left out,
        and a warning names them.
    manifest : path-like
        For messages.

    Raises
    ------
    ValueError
        If there are more.
    """
    lacking = {
        key: unknown
        for key, text in texts.items()
        if (unknown := sorted(set(text.split()) - set(lexicon.words)))
    }
    if lacking:
        words = sorted(set(sum(lacking.values(), [])))
        what = (
            f"manifest {manifest}: {len(lacking)} of {len(texts)} utterances "
            f"({few(list(lacking))}) have words that the lexicon lacks: "
            f"{few(words)}"
        )
        if len(lacking) > allowed * len(texts):
            raise ValueError(
                f"{what}. Add them to lexicon_file; max_bad_fraction={allowed}"
                " are allowed"
            )
        logger.warning("%s. They are left out", what)
    return [key for key in texts if key not in lacking]
