"""Synthesise a small corpus, in TIMIT's and in LibriSpeech's layout.

``python -m speechbrain_ligru_fast.asr.corpora.demo --out DIR --minutes 20``
"""

import argparse
import functools
import itertools
import math
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from scipy.signal import firwin, kaiserord, resample_poly

from .build import build_once
from .demo_text import sentence, spoken
from .espeak import require_espeak, speak_until
from .espeak_timit import phone_segments, word_segments
from .manifest import SAMPLE_RATE
from .timit_layout import write_speaker_lists, write_utterance

ACCENTS = (
    "en-US",
    "en",
    "en-GB-scotland",
    "en-029",
    "en-GB-x-rp",
    "en-US-nyc",
    "en-GB-x-gbclan",
    "en-GB-x-gbcwmd",
)
VARIANTS = "f1 f2 f3 f4 f5 m1 m2 m3 m4 m5 m6 m7".split()
# TIMIT's folder of each split of the LibriSpeech layout.
SPLITS = {"train-demo": "TRAIN", "dev-demo": "TEST", "test-demo": "TEST"}

# No text of the grammar is shorter than this.
_SHORTEST_SECONDS = 0.4


class Voice(NamedTuple):
    """A speaker: an eSpeak accent and variant, a rate and a pitch.

    Arguments
    ---------
    name : str
        TIMIT speaker, F or M first.
    number : int
        LibriSpeech speaker.
    split : str
        Key of `SPLITS`.
    accent, variant : str
        eSpeak voice.
    words_per_minute, pitch : int
        About; they vary a little from sentence to sentence.
    """

    name: str
    number: int
    split: str
    accent: str
    variant: str
    words_per_minute: int
    pitch: int


def make_voices(count, seed):
    """Draw speakers, a tenth of them for each of dev and test.

    Arguments
    ---------
    count : int
        How many, from 3 to every accent with every variant.
    seed : int
        The same seed gives the same speakers.

    Returns
    -------
    list of Voice
        No accent and variant twice; accents take turns.

    Raises
    ------
    ValueError
        If `count` is out of range.

    Example
    -------
    >>> voices = make_voices(40, seed=0)
    >>> len({(voice.accent, voice.variant) for voice in voices})
    40
    """
    most = len(ACCENTS) * len(VARIANTS)
    if not 3 <= count <= most:
        raise ValueError(f"voices must be in 3 to {most}, got {count}")
    rng = np.random.default_rng(seed)
    variants = [rng.permutation(VARIANTS) for _ in ACCENTS]
    held_out = max(1, count // 10)
    splits = ["dev-demo"] * held_out + ["test-demo"] * held_out
    splits += ["train-demo"] * (count - 2 * held_out)
    voices = []
    for i, split in enumerate(rng.permutation(splits)):
        turn, accent = divmod(i, len(ACCENTS))
        variant = str(variants[accent][turn])
        letters = "".join(chr(ord("A") + i // 26**k % 26) for k in (2, 1, 0))
        voices.append(
            Voice(
                name=f"{variant[0].upper()}{letters}0",
                number=1001 + i,
                split=str(split),
                accent=ACCENTS[accent],
                variant=variant,
                words_per_minute=int(rng.integers(130, 211)),
                pitch=int(rng.integers(30, 71)),
            )
        )
    return voices


def make_demo(out, minutes=20.0, seed=0, voices=40):
    """Write the corpus to ``out/timit`` and ``out/librispeech``.

    Both hold the same recordings; no speaker is in two splits. A second call
    with the same arguments does nothing.

    Arguments
    ---------
    out : path-like
        The folder to write.
    minutes : float
        About how much audio, shared evenly between the voices.
    seed : int
        The same seed gives the same bytes (with the same eSpeak).
    voices : int
        How many speakers.

    Returns
    -------
    bool
        Whether anything was written.

    Raises
    ------
    ModuleNotFoundError
        If espeakng-loader is missing.
    FileExistsError
        If `out` holds something else.
    ValueError
        For an argument out of range.
    """
    if not 0 < minutes < float("inf"):
        raise ValueError(f"minutes must be positive, got {minutes}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    speakers = make_voices(voices, seed)
    require_espeak()
    arguments = {"minutes": minutes, "seed": seed, "voices": voices}
    return build_once(
        out, arguments, lambda folder: _write(folder, speakers, arguments)
    )


def _write(out, voices, arguments):
    plans = [_plan(voice, arguments) for voice in voices]
    seconds = arguments["minutes"] * 60 / len(voices)
    lengths = []
    # eSpeak's sound depends on all that it has said before, so it runs in a
    # process of its own, which says everything in the same order.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        takes = pool.map(
            speak_until,
            [f"gmw/{voice.accent}+{voice.variant}" for voice in voices],
            [[_request(*planned) for planned in plan] for plan in plans],
            itertools.repeat(seconds),
        )
        for voice, plan, take in zip(voices, plans, takes, strict=True):
            rng = np.random.default_rng([arguments["seed"], voice.number, 1])
            lengths.append(_write_voice(out, voice, plan, take, rng))
    write_speaker_lists(
        out / "timit",
        *(
            [voice.name for voice in voices if voice.split == split]
            for split in ("dev-demo", "test-demo")
        ),
    )
    _write_readme(out, voices, lengths, arguments)


class _Planned(NamedTuple):
    text: str
    words_per_minute: int
    pitch: int
    lead: int
    tail: int


def _request(text, words_per_minute, pitch, lead, tail):
    return spoken(text), words_per_minute, pitch, (lead + tail) / SAMPLE_RATE


def _plan(voice, arguments):
    """Draw more sentences than the voice will have time for."""
    rng = np.random.default_rng([arguments["seed"], voice.number, 0])
    share = arguments["minutes"] * 60 / arguments["voices"]
    return [
        _Planned(
            sentence(rng),
            voice.words_per_minute + int(rng.integers(-10, 11)),
            voice.pitch + int(rng.integers(-5, 6)),
            *(int(n) for n in rng.integers(1600, 4801, 2)),
        )
        for _ in range(int(share / _SHORTEST_SECONDS) + 1)
    ]


def _write_voice(out, voice, plan, take, rng):
    """Write one speaker's recordings; return their lengths in samples."""
    speaker = str(voice.number)
    chapter = Path(out, "librispeech", voice.split, speaker, "1")
    chapter.mkdir(parents=True)
    transcript, lengths = [], []
    for number, (planned, said) in enumerate(zip(plan, take, strict=False)):
        signal = _record(said, planned, rng)
        phones = [
            (round(start * SAMPLE_RATE / said.rate) + planned.lead, name)
            for start, name in said.phones
        ]
        timed = word_segments(
            spoken(planned.text), said.words, phones, len(signal)
        )
        written = planned.text.split(" ")
        write_utterance(
            out / "timit",
            SPLITS[voice.split],
            voice.name,
            f"SX{number}",
            signal,
            phone_segments(phones, voice.accent, len(signal)),
            [(*span[:2], w) for span, w in zip(timed, written, strict=True)],
            planned.text,
        )
        utterance = f"{speaker}-1-{number:04d}"
        soundfile.write(
            chapter / f"{utterance}.flac", signal, SAMPLE_RATE, "PCM_16"
        )
        transcript.append(f"{utterance} {planned.text.upper()}\n")
        lengths.append(len(signal))
    (chapter / f"{speaker}-1.trans.txt").write_text(
        "".join(transcript), "utf-8"
    )
    return lengths


@functools.cache
def _resampler(rate):
    """Factors and low-pass filter: 7.5 to 8 kHz, 100 dB down."""
    common = math.gcd(rate, SAMPLE_RATE)
    up, down = SAMPLE_RATE // common, rate // common
    nyquist = rate * up / 2
    taps, beta = kaiserord(100, 500 / nyquist)
    window = firwin(taps | 1, 7750 / nyquist, window=("kaiser", beta))
    return up, down, window


def _record(said, planned, rng):
    """Resample, add silence before and after, a noise floor and a gain."""
    up, down, window = _resampler(said.rate)
    # In double, so that rounding to 16 bits is the same on every machine.
    speech = resample_poly(said.signal / 32768.0, up, down, window=window)
    noise_db = rng.uniform(-50, -30)
    level = np.sqrt(np.mean(speech**2)) * 10 ** (noise_db / 20)
    signal = np.pad(speech, (planned.lead, planned.tail))
    signal += level * rng.standard_normal(len(signal))
    peak = rng.uniform(0.2, 0.9)
    signal *= peak / np.abs(signal).max()
    return np.round(signal * 32767).astype(np.int16)


def _write_readme(out, voices, lengths, arguments):
    table = ["| split | utterances | speakers | minutes |", "| - | - | - | - |"]
    for split in SPLITS:
        here = [
            spoken
            for voice, spoken in zip(voices, lengths, strict=True)
            if voice.split == split
        ]
        samples = sum(map(sum, here))
        table.append(
            f"| {split} | {sum(map(len, here))} | {len(here)} "
            f"| {samples / SAMPLE_RATE / 60:.1f} |"
        )
    speakers = [
        f"{voice.number} | {voice.name[0]} | {voice.split} "
        f"| {sum(spoken) / SAMPLE_RATE / 60:.2f} | {voice.name} "
        f"{voice.accent}+{voice.variant} {voice.words_per_minute} wpm "
        f"pitch {voice.pitch}\n"
        for voice, spoken in zip(voices, lengths, strict=True)
    ]
    (out / "librispeech" / "SPEAKERS.TXT").write_text(
        ";ID | SEX | SUBSET | MINUTES | NAME\n" + "".join(speakers), "utf-8"
    )
    given = " ".join(f"--{key} {value}" for key, value in arguments.items())
    (out / "README.md").write_text(
        "# Demo corpus\n\n"
        "Synthetic speech (eSpeak NG), 16 kHz, made by\n"
        f"`python -m speechbrain_ligru_fast.asr.corpora.demo {given}`.\n\n"
        "timit/ and librispeech/ hold the same recordings. The phones and "
        "their times are\nthe synthesiser's own. Development and test "
        "speakers are listed in\ntimit/dev_spk.list and timit/test_spk.list."
        "\n\n" + "\n".join(table) + "\n",
        "utf-8",
    )


def main():
    """Command line of `make_demo`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--voices", type=int, default=40)
    options = parser.parse_args()
    if make_demo(**vars(options)):
        print(f"Demo corpus written to {options.out}")
    else:
        print(f"Demo corpus already in {options.out}")


if __name__ == "__main__":
    main()
