"""Which tokenizer an experiment goes on with, and whether it suits."""

import json

import pytest
from sentencepiece import SentencePieceProcessor

from speechbrain_ligru_fast.asr.text import read_texts
from speechbrain_ligru_fast.asr.tokenizer import (
    check_special,
    check_tokens,
    prepare_tokenizer,
    train_sentencepiece,
)

TEXTS, OTHERS = ["AB BA", "CAB"], ["DE ED", "FED"]


@pytest.fixture
def prepare(tmp_path):
    """Prepares the tokenizer of some transcripts; returns its file."""
    folder = tmp_path / "save"

    def run(texts, model=folder / "tokenizer.model", **options):
        manifest = tmp_path / "train.json"
        items = {f"u{i}": {"wrd": text} for i, text in enumerate(texts)}
        manifest.write_text(json.dumps(items))
        hparams = {
            **{"train_annotation": manifest, "text": "wrd", "seed": 1},
            **{"save_folder": folder, "tokenizer_file": str(model)},
            **{"output_neurons": 7, "token_type": "char"},
            **{"blank_index": 0, "bos_index": 1, "eos_index": 2},
        }
        prepare_tokenizer(hparams | options)
        return model

    return run


def test_what_an_earlier_start_left_is_trained_anew(prepare):
    left = prepare(OTHERS).read_bytes()
    model = prepare(TEXTS)
    trained = model.read_bytes()
    assert trained != left
    assert prepare(TEXTS).read_bytes() == trained
    # Beside checkpoints it is theirs.
    (model.parent / "CKPT+1").mkdir()
    assert prepare(OTHERS, seed=2).read_bytes() == trained


def test_a_tokenizer_of_the_user_is_kept(prepare, tmp_path):
    model = prepare(TEXTS)
    trained = model.read_bytes()
    elsewhere = tmp_path / "elsewhere" / "tokenizer.model"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(trained)
    assert prepare(OTHERS, elsewhere).read_bytes() == trained
    # Put where it would be trained, it has no record.
    model.with_suffix(".json").unlink()
    assert prepare(OTHERS).read_bytes() == trained


def test_a_mistyped_tokenizer_is_not_trained(prepare, tmp_path):
    typo = tmp_path / "tokenisers" / "char.model"
    words = "tokenizer_file: no file .*sav"
    with pytest.raises(FileNotFoundError, match=words):
        prepare(TEXTS, typo)
    assert not typo.parent.exists()


def test_no_character_becomes_another(prepare):
    text = "ﬁn ½ … Ｆ²"
    model = prepare([text], output_neurons=12)
    tokenizer = SentencePieceProcessor(model_file=str(model))
    assert tokenizer.decode_ids(tokenizer.encode_as_ids(text)) == text


def test_sub_words(prepare, tmp_path):
    texts = [f"{a} {b}" for a in ("ONE", "TWO", "TEN") for b in ("SIX", "ONE")]
    options = {"token_type": "unigram", "output_neurons": 14}
    model = prepare(texts, **options)
    tokenizer = SentencePieceProcessor(model_file=str(model))
    special = (tokenizer.unk_id(), tokenizer.bos_id(), tokenizer.eos_id())
    assert tokenizer.get_piece_size() == 14 and special == (0, 1, 2)
    for text in read_texts(tmp_path / "train.json", "wrd").values():
        assert tokenizer.decode_ids(tokenizer.encode_as_ids(text)) == text
    said = [("a", "ONE"), ("b", "TWO ÉTÉ"), ("c", "É")]
    with pytest.raises(ValueError, match="source: .*'É'.*, which is in b, c$"):
        check_tokens(tokenizer, said, "source")

    model.unlink()
    with pytest.raises(ValueError, match="output_neurons=900 does not suit"):
        prepare(texts, token_type="unigram", output_neurons=900)
    assert not model.exists()


@pytest.mark.parametrize("ids", [(0, 0), (1, 2)])
def test_special_ids_are_no_tokens_of_texts(tmp_path, ids):
    """SpeechBrain's default tokenizers have one special id, for everything."""
    path = tmp_path / "speechbrain.model"
    hparams = {"output_neurons": 5, "token_type": "char", "seed": 1}
    hparams |= {"blank_index": 0, "bos_index": 0, "eos_index": 0}
    train_sentencepiece(TEXTS, path, hparams)
    tokenizer = SentencePieceProcessor(model_file=str(path))
    assert (tokenizer.bos_id(), tokenizer.eos_id()) == (-1, -1)
    hparams |= dict(zip(("bos_index", "eos_index"), ids))
    if ids == (0, 0):
        check_special(tokenizer, hparams, "bos_index", "eos_index")
        return
    words = r"bos_index=1 is none .*special ids \[0\]: a real .* --bos_index 0 "
    with pytest.raises(ValueError, match=words + "--eos_index 0 and for"):
        check_special(tokenizer, hparams, "bos_index", "eos_index")
