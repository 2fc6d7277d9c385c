"""ARPA files, read by their definition."""


def ngrams(path):
    """N-gram -> log10 of its probability, and of its weight for backing off."""
    found = {}
    for line in path.read_text().splitlines():
        cells = line.split("\t")
        if len(cells) > 1:
            back = float(cells[2]) if len(cells) > 2 else 0.0
            found[tuple(cells[1].split())] = float(cells[0]), back
    return found


def probability(model, history, word):
    """By the definition of an ARPA file."""
    if (*history, word) in model:
        return 10 ** model[*history, word][0]
    back = model[history][1] if history in model else 0.0
    return 10**back * probability(model, history[1:], word)
