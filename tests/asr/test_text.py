"""Manifests that hold nothing to train on are named."""

import pytest

from speechbrain_ligru_fast.asr.text import normalize_text, read_texts


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "no manifest .*a.json: prepare the corpus first"),
        ("{}", "a.json holds no utterance"),
        ("{", "a.json is no JSON"),
        ('{"u": {"wrd": "A"}, "v": {"wrd": " "}}', "empty .* 'wrd' for v$"),
        ('{"u": {"wrd": "A"}, "v": {"phn": "a"}}', "no 'wrd' for v$"),
    ],
)
def test_bad_manifests(tmp_path, content, words):
    if content:
        (tmp_path / "a.json").write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        read_texts(tmp_path / "a.json", "wrd")


def test_letter_case():
    assert normalize_text("e\u0301  a", "upper") == "\u00c9 A"
    with pytest.raises(ValueError, match="letter_case must .* got 'title'"):
        normalize_text("a", "title")
