"""Phones as tokens."""

from speechbrain_ligru_fast.recognition.tokenizer import phone_tokenizer


def test_phones():
    tokenizer = phone_tokenizer(39)
    assert tokenizer.get_piece_size() == 42
    text = "sil dh ah k ae t sil"
    ids = tokenizer.encode_as_ids(text)
    assert min(ids) >= 3 and tokenizer.decode_ids([1, *ids, 2]) == text
    assert tokenizer.encode_as_ids("ax") == [tokenizer.unk_id()]
