"""For whom a trained language model may score."""

import pytest
import torch

from speechbrain_ligru_fast.asr.lm import check_tokenizer, load_lm
from speechbrain_ligru_fast.asr.tokenizer import train_sentencepiece

OPTIONS = {"output_neurons": 8, "token_type": "char", "seed": 1}
OPTIONS |= {"blank_index": 0, "bos_index": 1, "eos_index": 2}


@pytest.fixture
def lm(tmp_path):
    """A folder as training leaves one, of a model that is one layer."""
    folder = tmp_path / "lm"
    train_sentencepiece(["ABBA", "CAB A"], folder / "tokenizer.model", OPTIONS)
    layer = torch.nn.Linear(1, 2)
    torch.save(layer.state_dict(), folder / "lm.ckpt")
    (folder / "lm.yaml").write_text("model: !new:torch.nn.Linear [1, 2]\n")
    return folder


def test_another_seeds_tokenizer_is_the_same(lm, tmp_path):
    path = tmp_path / "seed-2" / "tokenizer.model"
    train_sentencepiece(["ABBA", "CAB A"], path, OPTIONS)
    # The files differ: each names the text it was trained on.
    assert path.read_bytes() != (lm / "tokenizer.model").read_bytes()
    assert not load_lm(lm, path).training


def test_another_tokenizer_is_refused(lm, tmp_path):
    path = tmp_path / "other.model"
    train_sentencepiece(["ABBA", "DAB A"], path, OPTIONS)
    with pytest.raises(ValueError, match="another tokenizer than .*other"):
        check_tokenizer(lm, path)
    # An earlier start may have left it, until something was trained with it.
    assert load_lm(lm, path) is not None
    (tmp_path / "CKPT+1").mkdir()
    with pytest.raises(ValueError, match="another tokenizer than .*other"):
        load_lm(lm, path)


@pytest.mark.parametrize("name", ["lm.yaml", "lm.ckpt", "tokenizer.model"])
def test_what_is_missing_is_named(lm, name):
    (lm / name).unlink()
    words = f"holds no trained language model: looked for .*{name}"
    with pytest.raises(FileNotFoundError, match=words):
        load_lm(lm)
