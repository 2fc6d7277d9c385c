"""Lexica: read, checked against phones and transcripts."""

import pytest

from speechbrain_ligru_fast.hybrid.lexicon import (
    Lexicon,
    check_words,
    phone_lexicon,
    read_lexicon,
)


def test_pronunciations_of_a_file(tmp_path):
    path = tmp_path / "some.dic"
    path.write_text(";;; CMU's\nTHE DH AH\n\nTHE(2) DH IY\nTHE DH AH\nA AH\n")
    lexicon = read_lexicon(path)
    assert lexicon.pronunciations == {
        "THE": [("DH", "AH"), ("DH", "IY")],
        "A": [("AH",)],
    }
    assert lexicon.phones == ["SIL", "AH", "DH", "IY"]


def test_phones_without_their_stress(tmp_path):
    path = tmp_path / "some.dic"
    path.write_text("READ R EH1 D\nREAD R EH0 D\nREAD R IY1 D\n")
    assert len(read_lexicon(path).pronunciations["READ"]) == 3
    found = read_lexicon(path, stress=False).pronunciations["READ"]
    assert found == [("R", "EH", "D"), ("R", "IY", "D")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("CAT K QQ T", "line 2: CAT has the unknown phone QQ; allowed are"),
        ("CAT", "line 2: CAT has no phones"),
        ("#0 AH", "line 2: #0 is a symbol that graphs use"),
        ("</s> AH", "line 2: </s> is a symbol that graphs use"),
    ],
)
def test_a_line_that_is_none(tmp_path, line, message):
    path, phones = tmp_path / "some.dic", tmp_path / "some.phone"
    path.write_text(f"A AH\n{line}\n")
    phones.write_text("AH\nK\nT\n")
    with pytest.raises(ValueError, match=message):
        read_lexicon(path, phones_file=phones)


def test_an_empty_lexicon(tmp_path):
    path = tmp_path / "some.dic"
    path.write_text("\n")
    with pytest.raises(ValueError, match="the lexicon holds no word"):
        read_lexicon(path)


@pytest.mark.parametrize(("phn_set", "count"), [(39, 39), (48, 48), (61, 61)])
def test_phones_are_words(phn_set, count):
    lexicon = phone_lexicon(phn_set)
    assert lexicon.phones == lexicon.words and len(lexicon.words) == count


def test_what_is_alike_or_begins_another_is_told_apart():
    words = {"A": [("x",)], "B": [("x",)], "C": [("x", "y")], "D": [("z",)]}
    found = list(Lexicon(words).told_apart())
    assert found == [
        ("A", ("x",), 1),
        ("B", ("x",), 2),
        ("C", ("x", "y"), 0),
        ("D", ("z",), 0),
    ]


def test_words_that_the_lexicon_lacks(lexicon, caplog):
    texts = {"one": "A AB", "two": "A CAT", "three": "A", "four": "AB"}
    assert check_words(lexicon, texts, 0.25, "train.json") == [
        "one", "three", "four",
    ]  # fmt: skip
    assert "1 of 4 utterances (two) have words that the lexicon lacks: CAT" in (
        caplog.text
    )
    with pytest.raises(ValueError, match="train.json: 1 of 4 utterances"):
        check_words(lexicon, texts, 0.2, "train.json")
