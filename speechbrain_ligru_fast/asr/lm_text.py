"""What a language model is trained on: transcripts and lines of a file."""

import gzip
import os
import shutil
import zlib
from array import array
from pathlib import Path

import torch
from speechbrain.utils.distributed import run_on_main

from speechbrain_ligru_fast.asr.files import decode_line
from speechbrain_ligru_fast.asr.text import read_texts
from speechbrain_ligru_fast.asr.token_checks import check_tokens


class TextLines:
    """The lines of a text file that are not blank, read one by one.

    Where they begin is all that is kept in memory.

    Arguments
    ---------
    path : path-like
        UTF-8.
    name : path-like, optional
        What messages call it.
    check : callable, optional
        Called once with an iterator of the name and the text of each line.

    Example
    -------
    >>> path = getfixture("tmp_path") / "text"
    >>> _ = path.write_text("A B\\n\\nC\\n")
    >>> lines = TextLines(path)
    >>> len(lines), lines[1]
    (2, 'C')
    """

    def __init__(self, path, name=None, check=None):
        self.path = os.fspath(path)
        self.name = os.fspath(name or path)
        self.starts = array("q")
        lines = self._index()
        if check:
            check(lines)
        for _ in lines:
            pass

    def _index(self):
        start = 0
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                text = decode_line(line, self.name, number).strip()
                if text:
                    self.starts.append(start)
                    yield f"line {number}", text
                start += len(line)

    def __len__(self):
        return len(self.starts)

    def __getitem__(self, i):
        # Opened anew: a file shared with forked processes has one position.
        with open(self.path, "rb") as file:
            file.seek(self.starts[i])
            return decode_line(file.readline(), self.name, i + 1).strip()


class LMTexts(torch.utils.data.Dataset):
    """Items ``id, tokens_bos, tokens_eos`` of texts.

    Arguments
    ---------
    transcripts : dict
        Id -> text.
    hparams : dict
        Of the experiment: tokenizer, bos_index, eos_index.
    copies : int
        How often each transcript is there.
    lines : sequence of str
        More texts.

    Example
    -------
    >>> from speechbrain_ligru_fast.asr.tokenizer import LabelTokenizer
    >>> hparams = {"tokenizer": LabelTokenizer(["A", "B"])}
    >>> hparams |= {"bos_index": 1, "eos_index": 2}
    >>> texts = LMTexts({"a": "A B"}, hparams, copies=2, lines=["B"])
    >>> len(texts), texts[1]["id"], texts[2]["tokens_bos"]
    (3, 'a-1', tensor([1, 4]))
    """

    def __init__(self, transcripts, hparams, copies=1, lines=()):
        self.ids = list(transcripts)
        self.transcripts = list(transcripts.values())
        self.copies = copies
        self.lines = lines
        self.tokenizer = hparams["tokenizer"]
        self.bos, self.eos = hparams["bos_index"], hparams["eos_index"]

    def __len__(self):
        return len(self.ids) * self.copies + len(self.lines)

    def text(self, i):
        """Id and text of one."""
        which, copy = divmod(i, self.copies)
        if which < len(self.ids):
            return f"{self.ids[which]}-{copy}", self.transcripts[which]
        i -= len(self.ids) * self.copies
        return f"line-{i}", self.lines[i]

    def __getitem__(self, i):
        key, text = self.text(i)
        tokens = self.tokenizer.encode_as_ids(text)
        return {
            "id": key,
            "tokens_bos": torch.LongTensor([self.bos, *tokens]),
            "tokens_eos": torch.LongTensor([*tokens, self.eos]),
        }


def train_texts(hparams):
    """The transcripts, as often as asked for, and what is extra.

    Arguments
    ---------
    hparams : dict
        Of the experiment: train_annotation, text, transcript_copies,
        extra_text, save_folder, tokenizer, bos_index, eos_index.

    Returns
    -------
    LMTexts

    Raises
    ------
    ValueError
        If transcript_copies is no positive integer, for text that the
        tokenizer does not know, or a file that is no text.
    FileNotFoundError
        If there is no file extra_text.
    """
    copies, extra = hparams["transcript_copies"], hparams["extra_text"]
    if type(copies) is not int or copies < 1:
        raise ValueError(
            f"transcript_copies must be a positive integer, got {copies!r}"
        )
    if extra and not Path(extra).is_file():
        raise FileNotFoundError(f"extra_text: no file {extra}")
    transcripts = read_transcripts(hparams, "train_annotation")
    lines = _extra_lines(Path(extra), hparams) if extra else ()
    return LMTexts(transcripts, hparams, copies, lines)


def read_transcripts(hparams, annotation):
    """The transcripts of one manifest, which the tokenizer must know.

    Arguments
    ---------
    hparams : dict
        See `train_texts`.
    annotation : str
        The key of the manifest.

    Returns
    -------
    dict
        Id -> text.
    """
    texts = read_texts(hparams[annotation], hparams["text"])
    check_tokens(hparams["tokenizer"], texts.items(), hparams[annotation])
    return texts


def _extra_lines(path, hparams):
    plain = path
    if path.suffix.lower() == ".gz":
        # Its lines can't be read in another order as it is.
        plain = Path(hparams["save_folder"], "extra_text.txt")
        run_on_main(_unpack, args=(path, plain))

    def check(lines):
        check_tokens(hparams["tokenizer"], lines, path)

    return TextLines(plain, path, check)


def _unpack(path, plain):
    plain.parent.mkdir(parents=True, exist_ok=True)
    part = plain.with_name(f"{plain.name}.part")
    try:
        with gzip.open(path) as source, open(part, "wb") as target:
            shutil.copyfileobj(source, target, 2**20)
        part.replace(plain)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"extra_text: can't unpack {path}: {error}") from error
    finally:
        part.unlink(missing_ok=True)
