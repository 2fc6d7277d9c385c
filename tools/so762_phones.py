"""Annotations of speechocean762 by phones, for a phone error rate.

``python -m tools.so762_phones --so762 DIR --out DIR``
"""

import argparse
import json
import re
from collections import defaultdict
from pathlib import Path

from speechbrain_ligru_fast.asr.corpora.librispeech import find_parts
from speechbrain_ligru_fast.asr.files import read_lines, write_whole

SPLITS = "train-so762", "dev-so762", "test-so762"
# W_B, IY0_E: where in a word, and with what stress
_MARKS = re.compile(r"[012]?(_[BIES])?$")


def annotate_phones(so762, out):
    """Write the sets of speechocean762 as SpeechBrain's JSON, with phones.

    speechocean762 is in LibriSpeech layout, with ``resource/text-phone``
    beside the splits: in each line an utterance's own number, a point, the
    word's number, and the word's phones. Stress is left out.

    Arguments
    ---------
    so762 : path-like
        The folder with the splits.
    out : path-like
        A folder, for ``train-so762.json``, ``dev-so762.json`` and
        ``test-so762.json``: of each utterance ``wav``, ``spk_id``, ``wrd``
        and ``phn``.

    Returns
    -------
    list of str
        All phones.

    Raises
    ------
    FileNotFoundError
        If a split or the phones are missing.
    ValueError
        If an utterance has no phones, or not those of each word.
    """
    so762, out = Path(so762), Path(out)
    phones = _read_phones(so762 / "resource" / "text-phone")
    sets = {
        part.path.name: {
            name: _item(name, said, phones[name.rpartition("-")[2]])
            for name, said in part.utterances.items()
        }
        for part in find_parts(so762, out, [], [], SPLITS, None)
    }
    for name, items in sets.items():
        write_whole(out / name, json.dumps(items, indent=1))
    texts = (item["phn"] for items in sets.values() for item in items.values())
    return sorted({phone for text in texts for phone in text.split()})


def _item(name, said, words):
    if said.problem or len(words) != len((said.text or "").split()):
        raise ValueError(
            f"{name}: {said.problem or said.text!r}, and phones of "
            f"{len(words)} words"
        )
    return {
        "wav": said.file,
        "spk_id": said.speaker,
        "wrd": said.text,
        "phn": " ".join(phone for word in words for phone in word),
    }


def _read_phones(path):
    """Of each utterance its words' phones, in order."""
    found = defaultdict(list)
    for line in read_lines(path):
        number, *phones = line.split()
        found[number.partition(".")[0]].append(
            [_MARKS.sub("", phone) for phone in phones]
        )
    return found


def main():
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--so762", required=True, help="in LibriSpeech layout")
    parser.add_argument("--out", required=True, help="folder to write to")
    arguments = parser.parse_args()
    phones = annotate_phones(arguments.so762, arguments.out)
    print(f"{len(phones)} phones: {' '.join(phones)}")


if __name__ == "__main__":
    main()
