"""What a language model is trained on: transcripts and lines of a file."""

import gzip
import os
import shutil
import zlib
from array import array
from pathlib import Path

import torch
from speechbrain.utils.distributed import run_on_main
from torch.utils.data import ConcatDataset

from speechbrain_ligru_fast.asr.files import decode_line
from speechbrain_ligru_fast.asr.text import read_texts
from speechbrain_ligru_fast.asr.tokenizer import check_tokens


class TextLines:
    """The lines of a UTF-8 file that are not blank, read one by one.

    Where they begin is all that is kept in memory. Messages call the file
    `name`; `check` is called once with an iterator of each line's name and
    text.

    Example
    -------
    >>> path = getfixture("tmp_path") / "text"
    >>> _ = path.write_text("A B\\n\\nC\\n")
    >>> lines = TextLines(path)
    >>> len(lines), lines[1]
    (2, 'C')
    """

    def __init__(self, path, name=None, check=list):
        self.path, self.name = os.fspath(path), os.fspath(name or path)
        self.starts = array("q")
        check(self._index())

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
    """Items ``tokens_bos, tokens_eos`` of a sequence of texts.

    Example
    -------
    >>> from speechbrain_ligru_fast.recognition.tokenizer import LabelTokenizer
    >>> hparams = {"tokenizer": LabelTokenizer(["A", "B"])}
    >>> hparams |= {"bos_index": 1, "eos_index": 2}
    >>> LMTexts(["A B", "B"], hparams)[1]["tokens_bos"]
    tensor([1, 4])
    """

    def __init__(self, texts, hparams):
        self.texts, self.tokenizer = texts, hparams["tokenizer"]
        self.bos, self.eos = hparams["bos_index"], hparams["eos_index"]

    def __len__(self):
        return len(self.texts)

    def __getitem__(self, i):
        tokens = self.tokenizer.encode_as_ids(self.texts[i])
        return {
            "tokens_bos": torch.LongTensor([self.bos, *tokens]),
            "tokens_eos": torch.LongTensor([*tokens, self.eos]),
        }


def train_texts(hparams):
    """The transcripts, `transcript_copies` times, and the `extra_text`'s lines.

    Raises ValueError if the former is no positive integer, for text that the
    tokenizer does not know, or a file that is no text; FileNotFoundError if
    there is no such file.
    """
    copies, extra = hparams["transcript_copies"], hparams["extra_text"]
    if type(copies) is not int or copies < 1:
        raise ValueError(
            f"transcript_copies must be a positive integer, got {copies!r}"
        )
    if extra and not Path(extra).is_file():
        raise FileNotFoundError(f"extra_text: no file {extra}")
    transcripts = read_transcripts(hparams, "train_annotation")
    texts = [text for text in transcripts for _ in range(copies)]
    if extra:
        texts = ConcatDataset([texts, _extra_lines(Path(extra), hparams)])
    return LMTexts(texts, hparams)


def read_transcripts(hparams, annotation):
    """The transcripts of the manifest of that key, for `train_texts`."""
    texts = read_texts(hparams[annotation], hparams["text"])
    check_tokens(hparams["tokenizer"], texts.items(), hparams[annotation])
    return list(texts.values())


def _extra_lines(path, hparams):
    plain = path
    if path.suffix.lower() == ".gz":
        # Its lines can't be read in another order as it is.
        plain = Path(hparams["save_folder"], "extra_text.txt")
        run_on_main(_unpack, args=(path, plain))
    tokenizer = hparams["tokenizer"]
    return TextLines(plain, path, lambda x: check_tokens(tokenizer, x, path))


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
