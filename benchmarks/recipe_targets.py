"""The error rates and epoch times that the recipes set out to reach.

An error rate is the mean over MIN_SEEDS seeds at least; one seed says too
little. A ratio of epoch times is judged only between runs that differ in the
layer alone: same commit, device, threads, corpus, epochs, options and seeds.
"""

from benchmarks import comparison
from benchmarks.commands import option, other_options
from benchmarks.impls import STOCK_JIT, TORCH, TORCH_PADDED, is_ours
from benchmarks.rows import newest, where
from benchmarks.tables import NOTHING, markdown

MIN_SEEDS = 3
PARAMETERS_WITHIN = 0.1
AN4 = {"corpus": "AN4", "split": "test-an4", "recipe": "librispeech/an4"}
_OURS = {"rnn": lambda name: name in ("LiGRU", "SLiGRU"), "impl": is_ours}
_LSTM = {"rnn": "LSTM", "impl": TORCH}
_LSTM_PADDED = {"rnn": "LSTM", "impl": TORCH_PADDED}
_JIT = {"rnn": "LiGRU", "impl": STOCK_JIT}
# An error rate depends neither on the machine nor on who computes a layer.
_SYSTEM = ["rnn", "lm", "epochs", "settings", "params"]
_SYSTEM += comparison.MANIFESTS
_PAIR = (
    "recipe corpus split lm device threads precision epochs commit others"
).split() + comparison.MANIFESTS
# Device, what the LiGRU is compared with, its rows, the least ratio, and
# whether more than that is asked for.
_EPOCHS = (
    ("cpu", "SpeechBrain's with --jit", _JIT, 1.5, False),
    ("cpu", "the LSTM, packed by lengths,", _LSTM, 1.0, True),
    ("cpu", "the LSTM over padding", _LSTM_PADDED, 1.0, True),
    ("cuda", "SpeechBrain's with --jit", _JIT, 2.0, False),
    ("cuda", "the LSTM", _LSTM, 1.0, False),
)
_DEVICES = {"cpu": "CPU", "cuda": "GPU"}


def systems(rows):
    """The seeds of each system, its newest row of each.

    Arguments
    ---------
    rows : pandas.DataFrame
        Of one test set, oldest row first.

    Returns
    -------
    list of pandas.DataFrame
        The system trained last comes last.
    """
    rows = newest(rows.dropna(subset=["wer"]), [*_SYSTEM, "seed"])
    groups = [g for _, g in rows.groupby(_SYSTEM, dropna=False, sort=False)]
    return sorted(groups, key=lambda group: group.index[-1])


def best(found):
    """The system of the lowest mean, of those with enough seeds, or None.

    Of each layer only the settings trained last count: the lowest rate of
    many settings would be chosen on the test set.

    Arguments
    ---------
    found : list of pandas.DataFrame
        As `systems` gives them.

    Returns
    -------
    pandas.DataFrame | None
    """
    last = {g["rnn"].iloc[0]: g for g in found if len(g) >= MIN_SEEDS}
    return min(last.values(), key=lambda g: g["wer"].mean(), default=None)


def is_lm(name):
    """Whether a row's cell names a language model.

    Example
    -------
    >>> is_lm("lm-sentences"), is_lm("none")
    (True, False)
    """
    return name not in ("", "none")


def _of_an4(rows, lm, **only):
    return systems(where(rows, **AN4, lm=lm, **only))


def _described(system):
    rates = system["wer"]
    return (
        f"{comparison.spread(rates.mean(), rates.std(ddof=1))} "
        f"({system['rnn'].iloc[0]}, {len(rates)} seeds, "
        f"{system['params'].iloc[0]:.0f} parameters)"
    )


def _too_few(found, of):
    count = max(map(len, found), default=0)
    return f"{count} of {MIN_SEEDS} seeds of {of}", "not measured", ""


def _met(reached):
    return "yes" if reached else "NO"


def _commits(*frames):
    return ", ".join(sorted({c for frame in frames for c in frame["commit"]}))


def _rate(rows, lm, bound):
    found = _of_an4(rows, lm, **_OURS)
    ours = best(found)
    if ours is None:
        return _too_few(found, "ours")
    met = _met(ours["wer"].mean() <= bound)
    return _described(ours), met, _commits(ours)


def _against_lstm(rows):
    found = _of_an4(rows, "none", **_OURS)
    ours = best(found)
    if ours is None:
        return _too_few(found, "ours")
    one = ours.iloc[0]

    def as_large(params):
        return abs(params / one["params"] - 1) <= PARAMETERS_WITHIN

    found = _of_an4(
        rows, "none", **_LSTM, params=as_large, epochs=one["epochs"]
    )
    lstm = best(found)
    if lstm is None:
        return _too_few(found, "the LSTM")
    return (
        f"{_described(ours)} against {_described(lstm)}",
        _met(ours["wer"].mean() <= lstm["wer"].mean()),
        _commits(ours, lstm),
    )


def _is_timit(recipe):
    return recipe.startswith("timit/") or recipe == "demo/timit"


def _epoch(rows, device, theirs, bound, above):
    def on_device(command):
        return (option(command, "--device") or "").startswith(device)

    rows = where(rows, recipe=_is_timit, command=on_device)
    rows = rows.dropna(subset=["epoch_s"])
    rows = rows.assign(others=rows["command"].map(other_options), at=rows.index)
    pairs = where(rows, rnn="LiGRU", impl=is_ours).merge(
        where(rows, **theirs), on=[*_PAIR, "seed"], suffixes=("", "_theirs")
    )
    if pairs.empty:
        return "no runs of both that differ in nothing else", "not measured", ""
    found = [same for _, same in pairs.groupby(_PAIR, dropna=False)]
    last = max(found, key=lambda same: same["at"].max())
    ours, other = _seconds(last)
    one = last.iloc[0]
    text = (
        f"{other / ours:.2f} ({other:.1f} s with {one['params_theirs']:.0f} "
        f"parameters, ours {ours:.1f} s with {one['params']:.0f}; "
        f"{one['recipe']} on {one['corpus']}, seeds: {len(last)}, "
        f"{comparison.machine(one)})"
    )
    if len(found) > 1:
        ratios = [theirs / mine for mine, theirs in map(_seconds, found)]
        text += (
            f"; the newest of {len(found)} comparisons, "
            f"{min(ratios):.2f} to {max(ratios):.2f}"
        )
    return (
        text,
        _met(other / ours > bound if above else other / ours >= bound),
        one["commit"],
    )


def _seconds(pairs):
    return [pairs[f"epoch_s{suffix}"].mean() for suffix in ("", "_theirs")]


def table(data):
    """What the recipes had to reach, what was measured, whether it was."""
    if data.recipes.empty:
        return NOTHING
    rows = comparison.repetitions(data.recipes)
    lines = [
        [
            f"AN4's test, {text}: mean WER % of the better of SLiGRU and LiGRU",
            f"at most {bound:g}",
            *_rate(rows, lm, bound),
        ]
        for text, lm, bound in (
            ("without LM", "none", 7.5),
            ("with LM", is_lm, 6.5),
        )
    ]
    lines.append(
        [
            "AN4's test, without LM: the same against an LSTM of as many "
            f"parameters, ± {PARAMETERS_WITHIN:.0%}",
            "at most the LSTM's",
            *_against_lstm(rows),
        ]
    )
    lines += [
        [
            f"a training epoch of the TIMIT recipe on a {_DEVICES[device]}: "
            f"time with {name} over that with our LiGRU",
            f"{'above' if above else 'at least'} {bound:g}",
            *_epoch(rows, device, theirs, bound, above),
        ]
        for device, name, theirs, bound, above in _EPOCHS
    ]
    return markdown("what|target|measured|met|commits".split("|"), lines)


TABLES = {"targets-recipes": table}
