"""From eSpeak's timed phones to TIMIT's labelled segments."""

# Mnemonics of eSpeak NG's English voices, and what TIMIT calls them. Two
# labels share the time of the phone; none: it sounds as part of the one before.
_LABELS = {
    mnemonic: labels.split("+") if labels else []
    for mnemonic, labels in (
        pair.split("=")
        for pair in """
        _=pau _:=pau _|=pau ;=
        0=aa 0#=aa A:=aa A@=aa a=ae aa=ae a#=ax V=ah
        3=ax 3:=er @=ax @2=ax @5=ax @L=el IR=axr VR=er
        E=eh e@=eh eI=ey I=ih I#=ix I2=ix i=iy i:=iy i@=iy+ax i@3=iy+ax
        O=ao O2=ao O:=ao O@=ao o@=ao oU=ow OI=oy
        U=uh U@=uh+ax u:=uw aI=ay aI2=ay aU=aw
        b=b d=d g=g k=k p=p t=t t[=t t#=dx dZ=jh tS=ch
        D=dh T=th S=sh Z=zh f=f h=hh s=s v=v z=z
        m=m n=n N=ng j=y l=l r=r r-=r w=w w#=w
        """.split()
    )
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

    Given are first sample and eSpeak's mnemonic of each phone, its language,
    such as "en-US", and the length of the signal. Phones that start at the
    same time share what follows. Silence is h# at the two ends and pau between.
    ValueError for a mnemonic that has no label here.

    Example
    -------
    >>> phone_segments([(40, "A@"), (60, "_:")], "en-US", 90)
    [(0, 40, 'h#'), (40, 50, 'aa'), (50, 60, 'r'), (60, 90, 'h#')]
    """
    groups = {0: ["pau"]}
    start = 0
    names = [name for _, name in phones]
    for (first, name), following in zip(phones, [*names[1:], ""], strict=False):
        start = min(max(start, first), samples - 1)
        groups.setdefault(start, []).extend(_labels(name, following, accent))
    timed = []
    for start, labels in groups.items():
        sounds = [label for label in labels if label != "pau"] or labels[:1]
        silent = bool(timed) and timed[-1][1] == ["pau"]
        # Silence goes on, and so does a sound before one without a label.
        if sounds and not (silent and sounds == ["pau"]):
            timed.append((start, sounds))
    ends = [start for start, _ in timed[1:]] + [samples]
    segments = []
    for (start, labels), end in zip(timed, ends, strict=True):
        segments += split_time(start, end, labels, [1] * len(labels))
    for edge in (0, -1):
        start, end, label = segments[edge]
        if label == "pau":
            segments[edge] = (start, end, "h#")
    return segments


def split_time(start, end, labels, weights):
    """Share a span of samples between labels, in proportion to weights.

    Example
    -------
    >>> split_time(10, 50, ["in", "the", "sun"], [2, 3, 3])
    [(10, 20, 'in'), (20, 35, 'the'), (35, 50, 'sun')]
    """
    cuts = [start]
    for done in range(1, len(weights) + 1):
        share = (end - start) * sum(weights[:done]) // sum(weights)
        cuts.append(start + share)
    return list(zip(cuts, cuts[1:], labels, strict=False))


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
