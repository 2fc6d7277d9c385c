"""Sentences of AN4's kinds for its language model."""

import datetime
import re
import time

import pytest

from tools.demo_corpus import an4_sentences
from tools.demo_corpus.an4_sentences import COMMANDS, Sentences

MONTHS = [datetime.date(2000, month, 1) for month in range(1, 13)]


@pytest.fixture
def write(monkeypatch, tmp_path):
    """Runs the command; returns its file."""

    def run(*options):
        out = tmp_path / "new" / "sentences.txt"
        monkeypatch.setattr("sys.argv", ["x", "--out", str(out), *options])
        an4_sentences.main()
        return out.read_text()

    return run


def test_a_file_of_them(write, tmp_path, capsys):
    for number in (0, -1):
        with pytest.raises(SystemExit):
            write(f"--number={number}")
        error = capsys.readouterr().err
        assert f"--number must be positive, got {number}" in error
    assert not list(tmp_path.iterdir())
    text = write("--number=500", "--seed=3")
    assert len(text.splitlines()) == 500
    # What AN4's tokenizer knows, and nothing that it would split otherwise
    assert re.fullmatch("([A-Z]+( [A-Z]+)*\n)*", text)
    assert write("--number=500", "--seed=4") != text


def test_no_matter_where_on_earth(monkeypatch, write):
    texts = set()
    for zone in ("UTC", "America/New_York", "Asia/Tokyo"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        texts.add(write("--number=500"))
    monkeypatch.undo()
    time.tzset()
    assert len(texts) == 1


DIGIT = "(OH|ZERO|ONE|TWO|THREE|FOUR|FIVE|SIX|SEVEN|EIGHT|NINE)"
NUMBER = "([A-Z]{2,}( [A-Z]{2,})*)"
LETTERS = "([A-Z]( [A-Z])*)"
# What every sentence of a kind is, and what some are
KINDS = {
    "name": (LETTERS, ["[^ ]( [^ ]){3}"]),
    "city": (LETTERS, ["[^ ]( [^ ]){9,}"]),
    "street": (f"({NUMBER} )?{LETTERS}", [LETTERS, f"{NUMBER} {LETTERS}"]),
    "postcode": (f"{DIGIT}( {DIGIT}){{4}}", [".*ZERO.*", ".*OH.*"]),
    "telephone": (
        f"{DIGIT}( {DIGIT}){{6}}(( {DIGIT}){{3}})?",
        [f"{DIGIT}( {DIGIT}){{6}}", f"{DIGIT}( {DIGIT}){{9}}"],
    ),
    # By digits and by pairs of them
    "number": (
        NUMBER,
        ["SIX", "SEVENTEEN", "FORTY TWO", ".* ZERO", "[A-Z]+ OH [A-Z]+"]
        + ["[A-Z]+TY [A-Z]+ [A-Z]+TY [A-Z]+"],
    ),
    "date": (
        "[A-Z]+( [A-Z]+)*",
        [f".*{name:%B}.*".upper() for name in MONTHS]
        + [".*THIRTIETH.*", ".*EIGHTEENTH.*", ".*THIRTEEN .*", ".*NINETEEN.*"]
        + ["F E B .*"],
    ),
    "command": (
        f"{'|'.join(COMMANDS)}|ENTER {NUMBER}"
        f"|((ERASE|RUBOUT) )?{LETTERS} {NUMBER}",
        [*COMMANDS, "ENTER .*", "ERASE [A-Z] .*", "RUBOUT [A-Z] .*"],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind):
    sentences = Sentences(seed=2)
    found = {getattr(sentences, kind)() for _ in range(2000)}
    # Weighted, but not the same few again and again
    assert len(found) > 100
    every, some = KINDS[kind]
    assert [words for words in found if not re.fullmatch(every, words)] == []
    for pattern in some:
        assert any(re.fullmatch(pattern, words) for words in found), pattern


def test_every_kind_is_drawn():
    sentences = Sentences(seed=1)
    drawn = []
    sentences.kinds = {
        lambda name=kind.__name__: drawn.append(name): weight
        for kind, weight in sentences.kinds.items()
    }
    for _ in range(1000):
        sentences.draw()
    assert set(drawn) == KINDS.keys() - {"number"}
    assert 0.35 < drawn.count("command") / len(drawn) < 0.45
