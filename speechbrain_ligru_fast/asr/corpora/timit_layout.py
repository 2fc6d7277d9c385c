"""Write a corpus in TIMIT's layout."""

from pathlib import Path

import soundfile

from .manifest import SAMPLE_RATE
from .timit import DEV_LIST, TEST_LIST


def write_utterance(root, split, speaker, name, signal, phones, words, text):
    """Write the WAV, PHN, WRD and TXT of one utterance.

    Arguments
    ---------
    root : path-like
        Folder of the corpus.
    split : {"TRAIN", "TEST"}
        TIMIT keeps development speakers under TEST too.
    speaker, name : str
        Names of the speaker's folder and of the files.
    signal : (samples,) int16 array
        16 kHz.
    phones, words : list of (int, int, str)
        Start and end in samples, label.
    text : str
        The sentence.
    """
    folder = Path(root, split, "DR1", speaker)
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / f"{name}.WAV", signal, SAMPLE_RATE, "PCM_16")
    for kind, segments in (
        ("PHN", phones),
        ("WRD", words),
        ("TXT", [(0, len(signal), text)]),
    ):
        lines = [f"{start} {end} {label}\n" for start, end, label in segments]
        (folder / f"{name}.{kind}").write_text("".join(lines), "utf-8")


def write_speaker_lists(root, dev_speakers, test_speakers):
    """Write the lists that `prepare_timit` reads when it is given none.

    Arguments
    ---------
    root : path-like
        Folder of the corpus.
    dev_speakers, test_speakers : iterable of str
        Names of the speakers' folders.
    """
    for name, speakers in (
        (DEV_LIST, dev_speakers),
        (TEST_LIST, test_speakers),
    ):
        lines = "".join(f"{speaker}\n" for speaker in sorted(speakers))
        Path(root, name).write_text(lines, "utf-8")
