"""Which tokenizer an experiment goes on with."""

import json

import pytest
from sentencepiece import SentencePieceProcessor

from speechbrain_ligru_fast.asr.tokenizer import prepare_tokenizer


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
            "trains_in_folder": True,
        }
        prepare_tokenizer(hparams | options)
        return model

    return run


def test_what_an_earlier_start_left_is_trained_anew(prepare):
    texts, others = ["AB BA", "CAB"], ["DE ED", "FED"]
    left = prepare(others).read_bytes()
    model = prepare(texts)
    trained = model.read_bytes()
    assert trained != left
    assert prepare(texts).read_bytes() == trained
    (model.parent / "CKPT+1").mkdir()
    assert prepare(texts).read_bytes() == trained
    # Beside checkpoints it is theirs.
    prepare(others, seed=2)
    assert model.read_bytes() == trained


def test_a_tokenizer_from_elsewhere_is_kept(prepare, tmp_path):
    elsewhere = tmp_path / "elsewhere" / "tokenizer.model"
    elsewhere.parent.mkdir()
    trained = prepare(["AB BA", "CAB"]).read_bytes()
    elsewhere.write_bytes(trained)
    assert prepare(["DE ED", "FED"], elsewhere).read_bytes() == trained


def test_a_mistyped_tokenizer_is_not_trained(prepare, tmp_path):
    typo = tmp_path / "tokenisers" / "char.model"
    with pytest.raises(
        FileNotFoundError, match="tokenizer_file: no file .*sav"
    ):
        prepare(["AB BA", "CAB"], typo)
    assert not typo.parent.exists()


def test_a_tokenizer_that_the_user_put_there_is_kept(prepare):
    model = prepare(["AB BA", "CAB"])
    model.with_suffix(".json").unlink()
    trained = model.read_bytes()
    assert prepare(["DE ED", "FED"]).read_bytes() == trained


def test_no_character_becomes_another(prepare):
    text = "ﬁn ½ … Ｆ²"
    model = prepare([text], output_neurons=12)
    tokenizer = SentencePieceProcessor(model_file=str(model))
    assert tokenizer.decode_ids(tokenizer.encode_as_ids(text)) == text
