"""Write a folder whole or not at all; and TIMIT's files in it."""

import json
import os
import tempfile
from pathlib import Path

import soundfile

SAMPLE_RATE = 16000
MARKER = "completed.json"


def build_once(out, arguments, build):
    """Build a folder unless the same call already has; say whether it did.

    It is built beside its final place, by `build`, and renamed when complete,
    so that an interrupted run leaves nothing under the final name.
    ``completed.json`` keeps what the content depends on, `arguments`.
    FileExistsError if `out` holds something else.

    Example
    -------
    >>> out = getfixture("tmp_path") / "corpus"
    >>> fill = lambda folder: (folder / "a").write_text("1") and None
    >>> build_once(out, {"seed": 0}, fill), build_once(out, {"seed": 0}, fill)
    (True, False)
    """
    out = Path(out)
    marker = out / MARKER
    if marker.is_file():
        built = json.loads(marker.read_text("utf-8"))
        if built == arguments:
            return False
        raise FileExistsError(
            f"out={str(out)!r} was built with {built}, not with {arguments}; "
            "give an empty folder"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(
            f"out={str(out)!r} is not empty and has no {MARKER}; give an "
            "empty folder"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    # Same disk, so that it can be renamed.
    with tempfile.TemporaryDirectory(prefix=out.name, dir=out.parent) as part:
        folder = Path(part, "whole")
        folder.mkdir()
        build(folder)
        text = json.dumps(arguments, indent=2) + "\n"
        (folder / MARKER).write_text(text, "utf-8")
        os.replace(folder, out)
    return True


def write_timit_utterance(folder, name, signal, phones, words, text):
    """Write the WAV, PHN, WRD and TXT of one utterance to a speaker's folder.

    The signal is 16 kHz, int16; phones and words have start and end in
    samples, and label.
    """
    stem = Path(folder, name)
    stem.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(f"{stem}.WAV", signal, SAMPLE_RATE, "PCM_16")
    sentence = [(0, len(signal), text)]
    for kind, spans in ("PHN", phones), ("WRD", words), ("TXT", sentence):
        lines = [f"{start} {end} {label}\n" for start, end, label in spans]
        Path(f"{stem}.{kind}").write_text("".join(lines), "utf-8")


def write_speaker_lists(root, dev_speakers, test_speakers):
    """Write the lists that `prepare_timit` finds beside TRAIN and TEST."""
    for name, speakers in ("dev", dev_speakers), ("test", test_speakers):
        lines = "".join(f"{speaker}\n" for speaker in sorted(speakers))
        Path(root, f"{name}_spk.list").write_text(lines, "utf-8")
