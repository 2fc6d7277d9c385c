"""What a language model is trained on, and for whom it may score."""

import json

import pytest
import torch
from sentencepiece import SentencePieceProcessor

from speechbrain_ligru_fast.asr.lm import (
    check_tokenizer,
    load_lm,
    train_texts,
)
from speechbrain_ligru_fast.asr.tokenizer import train_sentencepiece

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
    }


@pytest.mark.parametrize("copies", [0, -1, 1.5, "two", None, True])
def test_copies_of_transcripts_are_counted(copies, of_texts):
    of_texts["transcript_copies"] = copies
    with pytest.raises(ValueError, match=f"transcript_copies.*{copies!r}"):
        train_texts(of_texts)


def test_a_missing_text_is_named(of_texts, tmp_path):
    of_texts["extra_text"] = str(tmp_path / "none.txt")
    with pytest.raises(FileNotFoundError, match="extra_text: .*none.txt"):
        train_texts(of_texts)


def test_what_a_model_is_trained_on(of_texts, tmp_path):
    assert list(train_texts(of_texts).values()) == ["AB BA", "CAB"]
    extra = tmp_path / "extra.txt"
    extra.write_text("A\n\nB C\n")
    of_texts |= {"transcript_copies": 3, "extra_text": str(extra)}
    found = sorted(train_texts(of_texts).values())
    assert found == sorted(["AB BA", "CAB"] * 3 + ["A", "B C"])


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
