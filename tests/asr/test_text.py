"""Manifests that hold nothing to train on are named."""

import json

import pytest

from speechbrain_ligru_fast.asr.text import (
    hash_manifest,
    normalize_text,
    read_texts,
)


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


def test_what_a_manifest_says(tmp_path):
    path = tmp_path / "a.json"
    a = {"wrd": "ONE", "duration": 1.0, "wav": "/here/a.flac"}
    b = {"wrd": "TWO", "duration": 2.0, "wav": "/here/b.flac"}

    def named(**manifest):
        path.write_text(json.dumps(manifest))
        return hash_manifest(path, "wrd")

    first = named(a=a, b=b)
    # Wherever its audio lies, and in whatever order
    assert named(b=b, a=a | {"wav": "/there/a.flac"}) == first
    others = (
        {"a": a, "c": b},
        {"a": a},
        {"a": a, "b": b | {"wrd": "TOO"}},
        {"a": a, "b": b | {"duration": 2.1}},
    )
    assert first not in {named(**other) for other in others}
