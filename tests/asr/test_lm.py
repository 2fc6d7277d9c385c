"""What a language model is trained on, and for whom it may score."""

import gzip
import json
import pickle
import tracemalloc

import pytest
import torch
from sentencepiece import SentencePieceProcessor
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import make_dataloader

from speechbrain_ligru_fast.asr.lm import check_tokenizer, load_lm
from speechbrain_ligru_fast.asr.lm_text import LMTexts, train_texts
from speechbrain_ligru_fast.asr.tokenizer import (
    check_special,
    train_sentencepiece,
)

CHARACTERS = {"vocab_size": 8, "model_type": "char"}
IDS = {"blank": 0, "bos": 1, "eos": 2, "seed": 1}


@pytest.fixture
def lm(tmp_path):
    """A folder as training leaves one, of a model that is one layer."""
    folder = tmp_path / "lm"
    texts = ["ABBA", "CAB A"]
    train_sentencepiece(texts, folder / "tokenizer.model", **CHARACTERS, **IDS)
    layer = torch.nn.Linear(1, 2)
    torch.save(layer.state_dict(), folder / "lm.ckpt")
    (folder / "lm.yaml").write_text("model: !new:torch.nn.Linear [1, 2]\n")
    return folder


def train(path, texts):
    train_sentencepiece(texts, path, **CHARACTERS, **IDS)
    return path


def test_another_seeds_tokenizer_is_the_same(lm, tmp_path):
    path = train(tmp_path / "seed-2" / "tokenizer.model", ["ABBA", "CAB A"])
    # The files differ: each names the text it was trained on.
    assert path.read_bytes() != (lm / "tokenizer.model").read_bytes()
    assert not load_lm(lm, path).training


def test_another_tokenizer_is_refused(lm, tmp_path):
    path = train(tmp_path / "other.model", ["ABBA", "DAB A"])
    with pytest.raises(ValueError, match="another tokenizer than .*other"):
        check_tokenizer(lm, path)
    # An earlier start may have left it, until something was trained with it.
    assert load_lm(lm, path) is not None
    (tmp_path / "CKPT+1").mkdir()
    with pytest.raises(ValueError, match="another tokenizer than .*other"):
        load_lm(lm, path)


@pytest.fixture
def of_texts(tmp_path):
    """An experiment of two transcripts."""
    model = train(tmp_path / "tokenizer.model", ["ABBA", "CAB A"])
    transcripts = {"a-1": {"wrd": "AB BA"}, "a-2": {"wrd": "CAB"}}
    annotation = tmp_path / "train.json"
    annotation.write_text(json.dumps(transcripts))
    return {
        "tokenizer": SentencePieceProcessor(model_file=str(model)),
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
def test_copies_of_transcripts_are_counted(copies, of_texts):
    of_texts["transcript_copies"] = copies
    with pytest.raises(ValueError, match=f"transcript_copies.*{copies!r}"):
        train_texts(of_texts)


def test_a_missing_text_is_named(of_texts, tmp_path):
    of_texts["extra_text"] = str(tmp_path / "none.txt")
    with pytest.raises(FileNotFoundError, match="extra_text: .*none.txt"):
        train_texts(of_texts)


@pytest.mark.parametrize("name", ["extra.txt", "extra.txt.gz", "EXTRA.GZ"])
def test_what_a_model_is_trained_on(of_texts, tmp_path, name):
    assert all_of(train_texts(of_texts)) == ["AB BA", "CAB"]
    extra = tmp_path / name
    write = gzip.open if name.lower().endswith("gz") else open
    with write(extra, "wb") as file:
        file.write("\ufeffA\n\n \nB C\r\nCAB".encode())
    of_texts |= {"transcript_copies": 3, "extra_text": str(extra)}
    found = train_texts(of_texts)
    assert all_of(found) == ["AB BA"] * 3 + ["CAB"] * 3 + ["A", "B C", "CAB"]
    # It is sent to data loading processes that are not forked.
    item = pickle.loads(pickle.dumps(found))[7]
    tokens = of_texts["tokenizer"].encode_as_ids("B C")
    assert item["tokens_bos"].tolist() == [1, *tokens]
    assert item["tokens_eos"].tolist() == [*tokens, 2]


def test_batches_of_texts(of_texts):
    texts = LMTexts(["AB BA", "C"], of_texts)
    loader = make_dataloader(texts, collate_fn=PaddedBatch, batch_size=2)
    (batch,) = loader
    assert batch.tokens_bos.data.shape[0] == 2


def test_a_text_is_not_kept_in_memory(of_texts, tmp_path):
    extra = tmp_path / "extra.txt"
    extra.write_text(f"{'ABBA ' * 40}\n" * 10000)
    of_texts["extra_text"] = str(extra)
    tracemalloc.start()
    texts = train_texts(of_texts)
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
    ],
)
def test_what_is_no_text_is_named(of_texts, tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    of_texts["extra_text"] = str(tmp_path / name)
    with pytest.raises(ValueError, match=words):
        train_texts(of_texts)


def test_unknown_characters_are_found_where_they_are(of_texts, tmp_path):
    extra = tmp_path / "extra.txt"
    extra.write_text("A\nB 9\n")
    of_texts |= {"transcript_copies": 3, "extra_text": str(extra)}
    with pytest.raises(ValueError, match="extra.txt: .*'9'.* line 2$"):
        train_texts(of_texts)
    transcripts = {"a-1": {"wrd": "AB"}, "a-2": {"wrd": "C9"}}
    (tmp_path / "train.json").write_text(json.dumps(transcripts))
    with pytest.raises(ValueError, match="train.json: .*'9'.* a-2$"):
        train_texts(of_texts)


@pytest.mark.parametrize("ids", [(0, 0), (1, 2)])
def test_special_ids_are_no_tokens_of_texts(of_texts, tmp_path, ids):
    """SpeechBrain's default tokenizers have one special id, for everything."""
    path = tmp_path / "speechbrain.model"
    options = {**CHARACTERS, **IDS, "vocab_size": 6, "bos": 0, "eos": 0}
    train_sentencepiece(["ABBA", "CAB A"], path, **options)
    tokenizer = SentencePieceProcessor(model_file=str(path))
    assert (tokenizer.bos_id(), tokenizer.eos_id()) == (-1, -1)
    hparams = of_texts | dict(zip(("bos_index", "eos_index"), ids))
    hparams["output_neurons"] = tokenizer.get_piece_size()
    if ids == (0, 0):
        check_special(tokenizer, hparams, "bos_index", "eos_index")
        return
    words = r"bos_index=1 is none .*special ids \[0\]: a real .* --bos_index 0 "
    with pytest.raises(ValueError, match=words + "--eos_index 0 and for"):
        check_special(tokenizer, hparams, "bos_index", "eos_index")
