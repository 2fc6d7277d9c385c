"""Which recogniser a language model may score for."""

import pytest
import torch

from speechbrain_ligru_fast.asr.lm import load_lm
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
        load_lm(lm, path)
