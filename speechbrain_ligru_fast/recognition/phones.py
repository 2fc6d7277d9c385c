"""TIMIT's 61 phone labels and their usual folding to 48 and 39.

After Lee and Hon, "Speaker-independent phone recognition using hidden Markov
models", 1989; the same table as SpeechBrain's TIMIT recipes.
"""

PHN_SETS = (39, 48, 61)

LABELS_61 = tuple(
    "aa ae ah ao aw ax ax-h axr ay b bcl ch d dcl dh dx eh el em en eng epi "
    "er ey f g gcl h# hh hv ih ix iy jh k kcl l m n ng nx ow oy p pau pcl q r "
    "s sh t tcl th uh uw ux v w y z zh".split()
)

# Only what changes. The glottal stop is dropped.
_TO_48 = dict(
    pair.split("=")
    for pair in "ax-h=ax axr=er bcl=vcl dcl=vcl gcl=vcl kcl=cl pcl=cl tcl=cl "
    "em=m eng=ng nx=n hv=hh h#=sil pau=sil ux=uw q=".split()
)
_48_TO_39 = {"ao": "aa", "ax": "ah", "el": "l", "en": "n", "ix": "ih"}
_48_TO_39 |= {"zh": "sh", "cl": "sil", "vcl": "sil", "epi": "sil"}
_TO_39 = {k: _48_TO_39.get(v, v) for k, v in _TO_48.items()} | _48_TO_39
_FOLDS = {39: _TO_39, 48: _TO_48, 61: {}}


def fold_phones(segments, phn_set=39):
    """Fold labelled segments to one of PHN_SETS: labels, and their ends.

    Segments are start, end and one of the 61 labels, or of the 48. Dropped
    labels lose their end; neighbouring silences become one. With 61 labels
    nothing changes.

    Example
    -------
    >>> segments = [(0, 5, "h#"), (5, 7, "pau"), (7, 9, "ix"), (9, 12, "q")]
    >>> fold_phones(segments)
    (['sil', 'ih'], [7, 9])
    """
    phones, ends = [], []
    for _, end, label in segments:
        phone = _FOLDS[phn_set].get(label, label)
        if phones and phone == phones[-1] == "sil":
            ends[-1] = end
        elif phone:
            phones.append(phone)
            ends.append(end)
    return phones, ends


class PhoneScoring:
    """Folds what is scored to 39 phones, as the literature has it.

    Arguments
    ---------
    phn_set : {39, 48, 61}
        The phones that are recognised. Those of 39 are left as they are.

    Example
    -------
    >>> scoring = PhoneScoring(61)
    >>> scoring("h# pau ix q tcl"), str(scoring)
    ('sil ih sil', '39 phones')
    """

    def __init__(self, phn_set):
        self.phn_set = phn_set

    def __call__(self, text):
        """Fold a transcript."""
        if self.phn_set == 39:
            return text
        phones, _ = fold_phones((0, 0, label) for label in text.split())
        return " ".join(phones)

    def __str__(self):
        return "39 phones"
