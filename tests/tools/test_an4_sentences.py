"""Sentences of AN4's kinds for its language model."""

import re
import time

import pytest

from tools.demo_corpus import an4_sentences
from tools.demo_corpus.an4_sentences import Sentences

TENS = "TWENTY THIRTY FORTY FIFTY SIXTY SEVENTY EIGHTY NINETY".split()
DIGITS = "OH ZERO ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE".split()


def words_of(kind, count=300):
    sentences = Sentences(seed=2)
    return [getattr(sentences, kind)().split() for _ in range(count)]


@pytest.fixture
def write(monkeypatch, tmp_path):
    """Runs the command; returns its file."""

    def run(*options):
        out = tmp_path / "new" / "sentences.txt"
        monkeypatch.setattr("sys.argv", ["x", "--out", str(out), *options])
        an4_sentences.main()
        return out.read_text()

    return run


def test_a_file_of_them(write, capsys):
    text = write("--number=500", "--seed=3")
    assert "500 sentences" in capsys.readouterr().out
    lines = text.splitlines()
    assert len(lines) == 500
    # What AN4's tokenizer knows, and nothing that it would split otherwise
    assert all(re.fullmatch("[A-Z]+( [A-Z]+)*", line) for line in lines)
    assert write("--number=500", "--seed=3") == text
    assert write("--number=500", "--seed=4") != text


@pytest.mark.parametrize("number", [0, -1])
def test_no_sentences_are_refused(number, write, tmp_path, capsys):
    with pytest.raises(SystemExit):
        write(f"--number={number}")
    assert f"--number must be positive, got {number}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["name", "city"])
def test_spelled(kind):
    found = words_of(kind)
    assert all(len(word) == 1 for words in found for word in words)
    # Weighted, but not the same few again and again
    assert len({tuple(words) for words in found}) > 100


@pytest.mark.parametrize(
    "kind, counts", [("postcode", {5}), ("telephone", {7, 10})]
)
def test_said_digit_by_digit(kind, counts):
    found = words_of(kind)
    assert {len(words) for words in found} == counts
    assert {word for words in found for word in words} == set(DIGITS)


def test_numbers_by_digits_and_by_pairs():
    found = {" ".join(words) for words in words_of("number", 3000)}
    assert {"SIX", "SEVENTEEN", "FORTY TWO"} <= found
    assert any(number.endswith(" ZERO") for number in found)
    assert any(re.fullmatch("[A-Z]+ OH [A-Z]+", number) for number in found)
    pairs = [n.split() for n in found if set(n.split()) & set(TENS)]
    assert any(len(set(words) & set(TENS)) == 2 for words in pairs)


def test_every_month_and_day():
    said = [" ".join(words) for words in words_of("date", 3000)]
    found = {word for date in said for word in date.split()}
    months = "JANUARY FEBRUARY MARCH APRIL MAY JUNE JULY AUGUST SEPTEMBER"
    assert {*months.split(), "OCTOBER", "NOVEMBER", "DECEMBER"} <= found
    assert {"THIRTIETH", "EIGHTEENTH", "THIRTEEN", "NINETEEN"} <= found
    # Some months are spelled, some years without their century.
    assert any(date.startswith("F E B ") for date in said)
    assert not any("HYPHEN" in date or "MINUS" in date for date in said)


def test_commands():
    found = words_of("command", 1000)
    assert {words[0] for words in found if len(words) == 1} == {
        *an4_sentences.COMMANDS
    }
    letters = [w for w in found if w[0] in ("ERASE", "RUBOUT")]
    assert letters and all(len(words[1]) == 1 for words in letters)
    assert all(len(words) > 1 for words in found if words[0] == "ENTER")


def test_every_kind_is_drawn():
    sentences = Sentences(seed=1)
    drawn = []
    sentences.kinds = {
        lambda name=kind.__name__: drawn.append(name): weight
        for kind, weight in sentences.kinds.items()
    }
    for _ in range(1000):
        sentences.draw()
    assert set(drawn) == set(
        "command name street city postcode telephone date".split()
    )
    assert 0.35 < drawn.count("command") / len(drawn) < 0.45


def test_no_matter_where_on_earth(monkeypatch, write):
    texts = set()
    for zone in ("UTC", "America/New_York", "Asia/Tokyo"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        texts.add(write("--number=1000"))
    monkeypatch.undo()
    time.tzset()
    assert len(texts) == 1
