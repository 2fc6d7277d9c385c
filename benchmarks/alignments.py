"""The utterances that a system got most wrong, word by word."""

import csv

import jiwer


def read_texts(path):
    """What a test said and recognised.

    Arguments
    ---------
    path : path-like
        A ``texts_*.csv`` of an experiment.

    Returns
    -------
    list of (str, str, str)
        Utterance, reference, hypothesis.
    """
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [(row["id"], row["reference"], row["hypothesis"]) for row in rows]


def worst(texts, count):
    """The utterances with most errors, the longest reference last.

    Arguments
    ---------
    texts : list of (str, str, str)
        As `read_texts` gives them.
    count : int
        At most so many; those without errors are not among them.

    Returns
    -------
    list of (str, int, list)
        Utterance, errors, pairs of its words.

    Example
    -------
    >>> texts = [("a", "x y", "x y"), ("b", "one two", "one too")]
    >>> worst(texts, 5)
    [('b', 1, [('equal', 'one', 'one'), ('substitute', 'two', 'too')])]
    """
    pairs = [(name, align(*both)) for name, *both in texts]
    errors = [
        (name, sum(kind != "equal" for kind, *_ in words), words)
        for name, words in pairs
    ]
    found = [one for one in errors if one[1]]
    return sorted(found, key=lambda one: (-one[1], len(one[2])))[:count]


def align(reference, hypothesis):
    """Pairs of words, as jiwer aligns them.

    Arguments
    ---------
    reference, hypothesis : str

    Returns
    -------
    list of (str, str, str)
        Kind (equal, substitute, delete or insert), word of the reference,
        word of the hypothesis; an absent word is empty.

    Example
    -------
    >>> align("a b", "a b c")[-1]
    ('insert', '', 'c')
    """
    output = jiwer.process_words(reference, hypothesis)
    said, heard = output.references[0], output.hypotheses[0]
    pairs = []
    for chunk in output.alignments[0]:
        here = said[chunk.ref_start_idx : chunk.ref_end_idx]
        there = heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
        for i in range(max(len(here), len(there))):
            words = (column[i] if column else "" for column in (here, there))
            pairs.append((chunk.type, *words))
    return pairs
