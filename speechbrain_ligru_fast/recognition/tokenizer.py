"""Phones, and other labels, as tokens."""

from speechbrain_ligru_fast.recognition.phones import LABELS_61, fold_phones


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
