"""Put AN4 and its forced-aligned phones into TIMIT's layout.

``python -m tools.demo_corpus.an4_timit --an4 DIR --out DIR``
"""

import argparse
from pathlib import Path

import soundfile

from speechbrain_ligru_fast.asr.files import find_files, read_lines

from .folders import (
    SAMPLE_RATE,
    build_once,
    write_speaker_lists,
    write_timit_utterance,
)

# TIMIT's folder of each split of AN4's LibriSpeech layout.
_SPLITS = {"train-an4": "TRAIN", "dev-an4": "TEST", "test-an4": "TEST"}


def an4_to_timit(an4, out):
    """Write AN4 in TIMIT's layout, with lists of its dev and test speakers.

    AN4 is in LibriSpeech layout, with ``phones/<split>/<utterance>.PHN`` and
    ``.WRD`` beside the splits. An earlier result of the same call is kept.
    FileNotFoundError if it is not; ValueError if an utterance to be tested has
    no phones, or audio has another rate than the samples that labels count.
    """
    an4 = Path(an4)
    needed = [an4 / split for split in _SPLITS]
    needed += [an4 / "phones" / split for split in _SPLITS]
    missing = [str(folder) for folder in needed if not folder.is_dir()]
    if missing:
        raise FileNotFoundError(
            f"an4={str(an4)!r} does not hold AN4 and its phones. "
            f"Looked for: {', '.join(missing)}"
        )

    def build(folder):
        speakers = {split: _convert(an4, split, folder) for split in _SPLITS}
        write_speaker_lists(folder, speakers["dev-an4"], speakers["test-an4"])

    build_once(out, {"an4": str(an4.resolve())}, build)


def _convert(an4, split, out):
    """Convert what has phones; return the names of the speakers."""
    speakers = set()
    for flac in find_files(an4 / split, ".flac"):
        speaker = flac.stem.split("-")[0]
        speakers.add(speaker)
        labels = an4 / "phones" / split / flac.stem
        if not labels.with_suffix(".PHN").is_file():
            if split == "test-an4":
                raise ValueError(
                    f"no phones of {flac}: a test set must be whole"
                )
            print(f"left out, as it has no phones: {flac}")
            continue
        signal, rate = soundfile.read(flac, dtype="int16")
        if rate != SAMPLE_RATE or signal.ndim != 1:
            raise ValueError(f"{flac} is not mono of {SAMPLE_RATE} Hz")
        phones, words = (
            [line.split() for line in read_lines(labels.with_suffix(kind))]
            for kind in (".PHN", ".WRD")
        )
        text = " ".join(word.upper() for *_, word in words)
        folder = out / _SPLITS[split] / "DR1" / speaker
        write_timit_utterance(folder, flac.stem, signal, phones, words, text)
    return speakers


def main():
    """Command line of `an4_to_timit`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--an4", required=True, help="AN4, LibriSpeech layout")
    parser.add_argument("--out", required=True, help="folder to write")
    options = parser.parse_args()
    an4_to_timit(**vars(options))
    print(f"AN4 with TIMIT's layout and lists of speakers: {options.out}")


if __name__ == "__main__":
    main()
