"""From eSpeak's timed phones to TIMIT's labelled segments."""

# Mnemonics of eSpeak NG's English voices. Two labels share the time of the
# phone; none means that it sounds as part of the phone before.
_LABELS = {
    mnemonic: labels.split()
    for mnemonic, labels in {
        "0": "aa",
        "0#": "aa",
        "3": "ax",
        "3:": "er",
        ";": "",
        "@": "ax",
        "@2": "ax",
        "@5": "ax",
        "@L": "el",
        "A:": "aa",
        "A@": "aa",
        "D": "dh",
        "E": "eh",
        "I": "ih",
        "I#": "ix",
        "I2": "ix",
        "IR": "axr",
        "N": "ng",
        "O": "ao",
        "O2": "ao",
        "O:": "ao",
        "O@": "ao",
        "OI": "oy",
        "S": "sh",
        "T": "th",
        "U": "uh",
        "U@": "uh ax",
        "V": "ah",
        "VR": "er",
        "Z": "zh",
        "_": "pau",
        "_:": "pau",
        "_|": "pau",
        "a": "ae",
        "a#": "ax",
        "aI": "ay",
        "aI2": "ay",
        "aU": "aw",
        "aa": "ae",
        "b": "b",
        "d": "d",
        "dZ": "jh",
        "e@": "eh",
        "eI": "ey",
        "f": "f",
        "g": "g",
        "h": "hh",
        "i": "iy",
        "i:": "iy",
        "i@": "iy ax",
        "i@3": "iy ax",
        "j": "y",
        "k": "k",
        "l": "l",
        "m": "m",
        "n": "n",
        "o@": "ao",
        "oU": "ow",
        "p": "p",
        "r": "r",
        "r-": "r",
        "s": "s",
        "t": "t",
        "t#": "dx",
        "t[": "t",
        "tS": "ch",
        "u:": "uw",
        "v": "v",
        "w": "w",
        "w#": "w",
        "z": "z",
    }.items()
}
# Where an accent's realisation falls on another label.
_ACCENTS = {
    "en-US": {"3": ["axr"], "i@3": ["ih"]},
    "en-GB-scotland": {"3": ["axr"], "i@3": ["ih"]},
    "en-GB-x-rp": {"aa": ["aa"]},
    "en-GB-x-gbclan": {"V": ["uh"]},
    "en-GB-x-gbcwmd": {"V": ["uh"], "aI": ["oy"]},
}
# Vowels that hold their r in General American, unless an r follows.
_R_COLOURED = {"A@", "O@", "e@", "i@3", "o@"}


def phone_segments(phones, accent, samples):
    """Label a signal with TIMIT's phones, from its first to its last sample.

    A phone that eSpeak gives no time of its own shares that of the phone
    before it or, after silence, behind it. Silence is h# at the two ends and
    pau between.

    Arguments
    ---------
    phones : list of (int, str)
        First sample and mnemonic, in order of time.
    accent : str
        eSpeak's language, such as "en-US".
    samples : int
        Length of the signal.

    Returns
    -------
    list of (int, int, str)
        Start, end and label; each starts where the one before ends.

    Raises
    ------
    ValueError
        For a mnemonic that has no label here.

    Example
    -------
    >>> phone_segments([(40, "A@"), (60, "_:")], "en-US", 90)
    [(0, 40, 'h#'), (40, 50, 'aa'), (50, 60, 'r'), (60, 90, 'h#')]
    """
    groups = [(0, ["pau"])]
    names = [name for _, name in phones]
    for (start, name), following in zip(phones, [*names[1:], ""], strict=False):
        labels = _labels(name, following, accent)
        groups.append((min(max(start, groups[-1][0]), samples), labels))
    ends = [start for start, _ in groups[1:]] + [samples]
    timed, waiting = [], []
    for (start, labels), end in zip(groups, ends, strict=True):
        sounding = bool(timed) and timed[-1][2] != ["pau"]
        if not labels and not sounding:
            labels = ["pau"]
        if labels == ["pau"]:
            if end > start and timed and not sounding:
                timed[-1][1] = end
            elif end > start:
                timed.append([start, end, labels])
        elif labels and end > start:
            timed.append([start, end, waiting + labels])
            waiting = []
        elif sounding:
            timed[-1][1] = end
            timed[-1][2] = timed[-1][2] + labels
        else:
            waiting += labels

    segments = []
    for start, end, labels in timed:
        cuts = [
            start + (end - start) * i // len(labels)
            for i in range(len(labels) + 1)
        ]
        segments += zip(cuts, cuts[1:], labels, strict=False)
    for edge in (0, -1):
        start, end, label = segments[edge]
        if label == "pau":
            segments[edge] = (start, end, "h#")
    return segments


def word_segments(text, words, phones, samples):
    """Time the words of a text.

    Arguments
    ---------
    text : str
        What eSpeak was given, words separated by one space.
    words : list of (int, int)
        Index of the first phone and position in the text.
    phones : list of (int, str)
        First sample and mnemonic.
    samples : int
        Length of the signal.

    Returns
    -------
    list of (int, int, str)
        Start, end and word. Words that eSpeak runs together share their
        time in proportion to their letters.

    Example
    -------
    >>> phones = [(10, "I"), (20, "n"), (30, "D"), (50, "s"), (90, "_:")]
    >>> word_segments("in the s", [(0, 0), (3, 7)], phones, 100)
    [(10, 26, 'in'), (26, 50, 'the'), (50, 90, 's')]
    """
    first_phone = dict(reversed([(place, phone) for phone, place in words]))
    groups = []
    place = 0
    for word in text.split(" "):
        phone = first_phone.get(place)
        start = phones[phone][0] if phone is not None else None
        if groups and start in (None, groups[-1][0]):
            groups[-1][1].append(word)
        else:
            groups.append((start or 0, [word]))
        place += len(word) + 1
    pauses = [start for start, name in phones if name.startswith("_")]
    starts = [start for start, _ in groups]
    segments = []
    for (start, group), following in zip(
        groups, [*starts[1:], samples], strict=True
    ):
        end = min([following] + [pause for pause in pauses if pause > start])
        letters = sum(map(len, group))
        done = 0
        for word in group:
            left = start + (end - start) * done // letters
            done += len(word)
            right = start + (end - start) * done // letters
            segments.append((left, right, word))
    return segments


def _labels(name, following, accent):
    if name not in _LABELS:
        raise ValueError(
            f"eSpeak's phone {name!r} (accent {accent}) has no TIMIT label"
        )
    labels = _ACCENTS.get(accent, {}).get(name, _LABELS[name])
    if accent == "en-US" and name in _R_COLOURED:
        if not following.startswith("r"):
            return [*labels, "r"]
    return labels
