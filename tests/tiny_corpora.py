"""Seconds of audio in LibriSpeech's and TIMIT's layout, a tone a letter."""

import math

import soundfile
import torch

RATE = 16000
WORDS = "ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE ZERO OH".split()
PHONES = "aa b ch d iy f g sh ah z".split()


def tone(pitch, seconds=0.06):
    """A tone with harmonics, for the pitch'th symbol."""
    t = torch.arange(int(seconds * RATE)) / RATE
    f = 200 * 1.07**pitch
    wave = sum(torch.sin(2 * math.pi * k * f * t) / k for k in (1, 2, 3))
    return 0.1 * wave


def texts(number, seed):
    """Some sentences of one to three words."""
    g = torch.Generator().manual_seed(seed)
    return [
        " ".join(
            WORDS[int(torch.randint(len(WORDS), (), generator=g))]
            for _ in range(1 + i % 3)
        )
        for i in range(number)
    ]


def make_librispeech(folder):
    """train-tiny, dev-tiny and test-tiny."""
    sizes = {"train-tiny": 12, "dev-tiny": 3, "test-tiny": 3}
    for speaker, (split, size) in enumerate(sizes.items(), 1):
        chapter = folder / split / str(speaker) / "1"
        chapter.mkdir(parents=True)
        lines = []
        for i, text in enumerate(texts(size, seed=speaker)):
            name = f"{speaker}-1-{i:04d}"
            wave = torch.cat([tone(ord(c) - 60) for c in text])
            soundfile.write(chapter / f"{name}.flac", wave.numpy(), RATE)
            lines.append(f"{name} {text}\n")
        path = chapter / f"{speaker}-1.trans.txt"
        path.write_text("".join(lines))
    return folder


def make_timit(folder):
    """Two training speakers, a development and a test one."""
    speakers = {"FTRN0": "TRAIN", "MTRN0": "TRAIN"}
    speakers |= {"FDEV0": "TEST", "MTST0": "TEST"}
    for seed, (speaker, split) in enumerate(speakers.items()):
        g = torch.Generator().manual_seed(seed)
        place = folder / split / "DR1" / speaker
        place.mkdir(parents=True)
        for i in range(3):
            picks = torch.randint(len(PHONES), (6,), generator=g).tolist()
            labels = ["h#", *(PHONES[p] for p in picks), "h#"]
            waves = [tone(0) * 0, *map(tone, picks), tone(0) * 0]
            step = len(waves[0])
            phn = [
                f"{k * step} {(k + 1) * step} {label}\n"
                for k, label in enumerate(labels)
            ]
            stem = place / f"SX{i}"
            soundfile.write(
                stem.with_suffix(".WAV"),
                torch.cat(waves).numpy(),
                RATE,
                format="WAV",
            )
            stem.with_suffix(".PHN").write_text("".join(phn))
            end = step * len(labels)
            stem.with_suffix(".WRD").write_text(f"0 {end} word\n")
    return folder


# Samples: frames that end on a hop, before and after it, an utterance less
# than half as long, and one that is short.
SAMPLES = (9600, 9599, 9441, 6400, 4000, 3999, 1000)


def waves(samples, dtype=torch.float32, padding=0.0, size=None):
    """Noise that ends with a bang, and relative lengths."""
    size = size or max(samples)
    wavs = torch.full((len(samples), size), padding, dtype=dtype)
    for b, n in enumerate(samples):
        generator = torch.Generator().manual_seed(b)
        wave = 0.01 * torch.randn(n, generator=generator)
        wave[-2:] = 1.0
        wavs[b, :n] = wave
    return wavs, torch.tensor(samples) / size


def alone(wavs, b):
    return wavs[b : b + 1, : SAMPLES[b]], torch.ones(1)
