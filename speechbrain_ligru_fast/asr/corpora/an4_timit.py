"""Put AN4 and its forced-aligned phones into TIMIT's layout.

``python -m speechbrain_ligru_fast.asr.corpora.an4_timit --an4 DIR --out DIR``
"""

import argparse
from pathlib import Path

import soundfile

from speechbrain_ligru_fast.asr.audio import BadAudio
from speechbrain_ligru_fast.asr.files import is_foreign

from .build import build_once
from .librispeech import find_utterances, read_utterance
from .manifest import SAMPLE_RATE, check_fraction, collect
from .timit import read_segments
from .timit_layout import write_speaker_lists, write_utterance

# TIMIT's folder of each split of AN4's LibriSpeech layout.
_SPLITS = {"train-an4": "TRAIN", "dev-an4": "TEST", "test-an4": "TEST"}


def an4_to_timit(an4, out, max_bad_fraction=0.05):
    """Write AN4 in TIMIT's layout, with lists of its dev and test speakers.

    Arguments
    ---------
    an4 : path-like
        AN4 in LibriSpeech layout, with ``phones/<split>/<utterance>.PHN`` and
        ``.WRD`` beside the splits.
    out : path-like
        The folder to write; an earlier result of the same call is kept.
    max_bad_fraction : float
        As for the preparations.

    Returns
    -------
    dict
        AN4 split -> sorted names of its speakers.

    Raises
    ------
    FileNotFoundError
        If `an4` does not hold the corpus and its phones.
    FileExistsError
        If `out` holds something else.
    ValueError
        If too many utterances cannot be used.
    """
    check_fraction(max_bad_fraction)
    an4 = Path(an4)
    needed = [an4 / split for split in _SPLITS]
    needed += [an4 / "phones" / split for split in _SPLITS]
    missing = [str(folder) for folder in needed if not folder.is_dir()]
    if missing:
        raise FileNotFoundError(
            f"an4={str(an4)!r} does not hold AN4 and its phones. "
            f"Looked for: {', '.join(missing)}"
        )
    speakers = {
        split: sorted(
            path.name
            for path in (an4 / split).iterdir()
            if not is_foreign(path.name) and path.is_dir()
        )
        for split in _SPLITS
    }

    def build(folder):
        for split in _SPLITS:
            _convert_split(an4, split, folder, max_bad_fraction)
        write_speaker_lists(folder, speakers["dev-an4"], speakers["test-an4"])

    arguments = {
        "an4": str(an4.resolve()),
        "max_bad_fraction": max_bad_fraction,
    }
    build_once(out, arguments, build)
    return speakers


def _convert_split(an4, split, out, max_bad_fraction):
    def convert(utterance):
        entry, audio = read_utterance(*utterance, an4)
        wav = utterance[0]
        if (audio.sample_rate, audio.channels) != (SAMPLE_RATE, 1):
            # TIMIT's labels count samples.
            raise BadAudio(f"{wav} is {audio.format}, not {SAMPLE_RATE} Hz")
        labels = an4 / "phones" / split / wav.stem
        phones = read_segments(labels.with_suffix(".PHN"))
        words = read_segments(labels.with_suffix(".WRD"))
        signal, _ = soundfile.read(wav, dtype="int16")
        write_utterance(
            out,
            _SPLITS[split],
            entry["spk_id"],
            wav.stem,
            signal,
            phones,
            words,
            entry["wrd"],
        )
        return entry, audio

    utterances = find_utterances([an4 / split])
    tested = split == "test-an4"
    collect(f"AN4 {split}", utterances, convert, max_bad_fraction, tested)


def main():
    """Command line of `an4_to_timit`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--an4", required=True, help="AN4, LibriSpeech layout")
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--max_bad_fraction", type=float, default=0.05)
    options = parser.parse_args()
    speakers = an4_to_timit(**vars(options))
    print(
        f"Written to {options.out}. The preparation finds the speakers of the "
        "splits there; as options:\n"
        f"--dev_speakers={','.join(speakers['dev-an4'])}\n"
        f"--test_speakers={','.join(speakers['test-an4'])}"
    )


if __name__ == "__main__":
    main()
