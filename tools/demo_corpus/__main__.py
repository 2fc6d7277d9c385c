"""Synthesise a small corpus, in TIMIT's and in LibriSpeech's layout.

``python -m tools.demo_corpus --out DIR --minutes 20``
"""

import argparse
import functools
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from scipy.signal import firwin, kaiserord, resample_poly

from .espeak import load_espeak, speak
from .folders import (
    SAMPLE_RATE,
    build_once,
    write_speaker_lists,
    write_timit_utterance,
)
from .labels import phone_segments, split_time
from .text import sentence, spoken

ACCENTS = (
    "en-US en en-GB-scotland en-029 en-GB-x-rp en-US-nyc en-GB-x-gbclan "
    "en-GB-x-gbcwmd"
).split()
VARIANTS = "f1 f2 f3 f4 f5 m1 m2 m3 m4 m5 m6 m7".split()
# TIMIT's folder of each split of the LibriSpeech layout.
SPLITS = {"train-demo": "TRAIN", "dev-demo": "TEST", "test-demo": "TEST"}


class Voice(NamedTuple):
    """A speaker: an eSpeak voice, about how fast and how high."""

    # In TIMIT's layout, F or M first; and in LibriSpeech's
    name: str
    number: int
    split: str
    accent: str
    variant: str
    words_per_minute: int
    pitch: int


def make_voices(count, seed):
    """Draw speakers, a tenth of them for each of dev and test.

    No accent and variant is there twice; accents take turns.

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
        The same seed gives the same bytes, with the same eSpeak, in a process
        in which it has said nothing yet.
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
    load_espeak()
    arguments = {"minutes": minutes, "seed": seed, "voices": voices}
    return build_once(
        out, arguments, lambda folder: _write(folder, speakers, arguments)
    )


def _write(out, voices, arguments):
    seconds = arguments["minutes"] * 60 / len(voices)
    table = [";ID | SEX | SUBSET | MINUTES | NAME\n"]
    for voice in voices:
        minutes = _write_voice(out, voice, seconds, arguments["seed"]) / 60
        table.append(
            f"{voice.number} | {voice.name[0]} | {voice.split} "
            f"| {minutes:.2f} | {voice.name} {voice.accent}+{voice.variant} "
            f"{voice.words_per_minute} wpm pitch {voice.pitch}\n"
        )
    write_speaker_lists(
        out / "timit",
        *(
            [voice.name for voice in voices if voice.split == split]
            for split in ("dev-demo", "test-demo")
        ),
    )
    (out / "librispeech" / "SPEAKERS.TXT").write_text("".join(table), "utf-8")
    given = " ".join(f"--{key} {value}" for key, value in arguments.items())
    (out / "README.md").write_text(
        "# Demo corpus\n\n"
        "Synthetic speech (eSpeak NG), 16 kHz, made by\n"
        f"`python -m tools.demo_corpus {given}`.\n\n"
        "timit/ and librispeech/ hold the same recordings. The phones and "
        "their times are\nthe synthesiser's own; those of the words are a "
        "guess by their number of letters.\nDevelopment and test speakers are "
        "listed in timit/dev_spk.list and test_spk.list.\n",
        "utf-8",
    )


def _write_voice(out, voice, enough, seed):
    """Write one speaker's recordings; return how many seconds they are."""
    speaker = str(voice.number)
    chapter = Path(out, "librispeech", voice.split, speaker, "1")
    chapter.mkdir(parents=True)
    plan, sound = (
        np.random.default_rng([seed, voice.number, i]) for i in (0, 1)
    )
    transcript, seconds = [], 0.0
    while seconds < enough:
        text = sentence(plan)
        said = speak(
            f"gmw/{voice.accent}+{voice.variant}",
            spoken(text),
            voice.words_per_minute + int(plan.integers(-10, 11)),
            voice.pitch + int(plan.integers(-5, 6)),
        )
        lead, tail = (int(n) for n in plan.integers(1600, 4801, 2))
        signal = _record(said, lead, tail, sound)
        phones = [
            (round(first * SAMPLE_RATE / said.sample_rate) + lead, name)
            for first, name in said.phones
        ]
        segments = phone_segments(phones, voice.accent, len(signal))
        words = text.split(" ")
        name = f"{speaker}-1-{len(transcript):04d}"
        write_timit_utterance(
            out / "timit" / SPLITS[voice.split] / "DR1" / voice.name,
            f"SX{len(transcript)}",
            signal,
            segments,
            split_time(
                *(segments[0][1], segments[-1][0]), words, list(map(len, words))
            ),
            text,
        )
        soundfile.write(chapter / f"{name}.flac", signal, SAMPLE_RATE, "PCM_16")
        transcript.append(f"{name} {text.upper()}\n")
        seconds += len(signal) / SAMPLE_RATE
    (chapter / f"{speaker}-1.trans.txt").write_text(
        "".join(transcript), "utf-8"
    )
    return seconds


@functools.cache
def _resampler(rate):
    """Factors and low-pass filter: 7.5 to 8 kHz, 100 dB down."""
    common = math.gcd(rate, SAMPLE_RATE)
    up, down = SAMPLE_RATE // common, rate // common
    nyquist = rate * up / 2
    taps, beta = kaiserord(100, 500 / nyquist)
    window = firwin(taps | 1, 7750 / nyquist, window=("kaiser", beta))
    return up, down, window


def _record(said, lead, tail, rng):
    """Resample, add silence before and after, a noise floor and a gain."""
    up, down, window = _resampler(said.sample_rate)
    # In double, so that rounding to 16 bits is the same on every machine.
    speech = resample_poly(said.signal / 32768.0, up, down, window=window)
    noise_db = rng.uniform(-50, -30)
    level = np.sqrt(np.mean(speech**2)) * 10 ** (noise_db / 20)
    signal = np.pad(speech, (lead, tail))
    signal += level * rng.standard_normal(len(signal))
    peak = rng.uniform(0.2, 0.9)
    signal *= peak / np.abs(signal).max()
    return np.round(signal * 32767).astype(np.int16)


def main():
    """Command line of `make_demo`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--voices", type=int, default=40)
    options = parser.parse_args()
    made = make_demo(**vars(options))
    print(f"Demo corpus {'written to' if made else 'already in'} {options.out}")


if __name__ == "__main__":
    main()
