"""What a language model is trained on."""

import gzip
import json
import pickle
import tracemalloc

import pytest
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import make_dataloader

from speechbrain_ligru_fast.asr.lm_text import LMTexts, train_texts
from speechbrain_ligru_fast.recognition.tokenizer import LabelTokenizer


class Characters(LabelTokenizer):
    """A token for each of A, B and C."""

    def encode_as_pieces(self, text):
        return [character for character in text if character != " "]


@pytest.fixture
def hparams(tmp_path):
    """An experiment of two transcripts."""
    transcripts = {"a-1": {"wrd": "AB BA"}, "a-2": {"wrd": "CAB"}}
    annotation = tmp_path / "train.json"
    annotation.write_text(json.dumps(transcripts))
    return {
        "tokenizer": Characters("ABC"),
        "train_annotation": str(annotation),
        "text": "wrd",
        "transcript_copies": 1,
        "extra_text": None,
        "save_folder": str(tmp_path / "save"),
        "bos_index": 1,
        "eos_index": 2,
    }


def all_of(texts):
    return [texts.texts[i] for i in range(len(texts))]


@pytest.mark.parametrize("copies", [0, -1, 1.5, "two", None, True])
def test_copies_of_transcripts_are_counted(copies, hparams):
    hparams["transcript_copies"] = copies
    with pytest.raises(ValueError, match=f"transcript_copies.*{copies!r}"):
        train_texts(hparams)


def test_a_missing_text_is_named(hparams, tmp_path):
    hparams["extra_text"] = str(tmp_path / "none.txt")
    with pytest.raises(FileNotFoundError, match="extra_text: .*none.txt"):
        train_texts(hparams)


@pytest.mark.parametrize("name", ["extra.txt", "extra.txt.gz", "EXTRA.GZ"])
def test_what_a_model_is_trained_on(hparams, tmp_path, name):
    assert all_of(train_texts(hparams)) == ["AB BA", "CAB"]
    extra = tmp_path / name
    write = gzip.open if name.lower().endswith("gz") else open
    with write(extra, "wb") as file:
        file.write("\ufeffA\n\n \nB C\r\nCAB".encode())
    hparams |= {"transcript_copies": 3, "extra_text": str(extra)}
    found = train_texts(hparams)
    assert all_of(found) == ["AB BA"] * 3 + ["CAB"] * 3 + ["A", "B C", "CAB"]
    # It is sent to data loading processes that are not forked.
    item = pickle.loads(pickle.dumps(found))[7]
    assert item["tokens_bos"].tolist() == [1, 4, 5]
    assert item["tokens_eos"].tolist() == [4, 5, 2]


def test_batches_of_texts(hparams):
    texts = LMTexts(["AB BA", "C"], hparams)
    loader = make_dataloader(texts, collate_fn=PaddedBatch, batch_size=2)
    (batch,) = loader
    assert batch.tokens_bos.data.tolist() == [[1, 3, 4, 4, 3], [1, 5, 0, 0, 0]]


def test_a_text_is_not_kept_in_memory(hparams, tmp_path):
    extra = tmp_path / "extra.txt"
    extra.write_text(f"{'ABBA ' * 40}\n" * 10000)
    hparams["extra_text"] = str(extra)
    tracemalloc.start()
    texts = train_texts(hparams)
    assert tracemalloc.get_traced_memory()[1] < extra.stat().st_size / 8
    tracemalloc.stop()
    assert len(texts) == 10002


def _compress(data):
    """The same bytes in every process, which pytest-xdist compares."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("a.txt", b"A\nB\xff\n", r"a.txt, line 2: b'.xff.n' is no UTF-8"),
        ("a.gz", _compress(b"A\n\xff"), "a.gz, line 2: .* is no UTF-8"),
        ("a.gz", b"A\nB\n", "extra_text: can't unpack .*a.gz: Not a gz"),
        ("a.gz", _compress(b"A\nB\n")[:20], "can't unpack .*a.gz: "),
        # A compressed file by another name
        ("a.txt", _compress(b"A\nB\n"), "a.txt, line 1: .* is no UTF-8"),
        ("a.txt", b"A\nB 9\n", "a.txt: .*'9'.* line 2$"),
    ],
)
def test_what_is_no_text_is_named(hparams, tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    hparams |= {"transcript_copies": 3, "extra_text": str(tmp_path / name)}
    with pytest.raises(ValueError, match=words):
        train_texts(hparams)


def test_unknown_characters_of_transcripts(hparams, tmp_path):
    transcripts = {"a-1": {"wrd": "AB"}, "a-2": {"wrd": "C9"}}
    (tmp_path / "train.json").write_text(json.dumps(transcripts))
    with pytest.raises(ValueError, match="train.json: .*'9'.* a-2$"):
        train_texts(hparams)
