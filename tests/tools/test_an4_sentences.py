"""Sentences of AN4's kinds for its language model."""

import re
import time

import pytest

from tools.demo_corpus import an4_sentences
from tools.demo_corpus.an4_sentences import COMMANDS, Sentences

TENS = "TWENTY THIRTY FORTY FIFTY SIXTY SEVENTY EIGHTY NINETY".split()
DIGITS = "OH ZERO ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE".split()


def said(kind, count=300):
    sentences = Sentences(seed=2)
    return [getattr(sentences, kind)() for _ in range(count)]


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


def test_spelled_and_said_digit_by_digit():
    for kind in ("name", "city"):
        found = said(kind)
        assert all(re.fullmatch("[A-Z]( [A-Z])*", words) for words in found)
        # Weighted, but not the same few again and again
        assert len(set(found)) > 100
    for kind, counts in ("postcode", {5}), ("telephone", {7, 10}):
        found = [words.split() for words in said(kind)]
        assert {len(words) for words in found} == counts
        assert {word for words in found for word in words} == set(DIGITS)


def test_numbers_by_digits_and_by_pairs():
    found = set(said("number", 3000))
    assert {"SIX", "SEVENTEEN", "FORTY TWO"} <= found
    assert any(number.endswith(" ZERO") for number in found)
    assert any(re.fullmatch("[A-Z]+ OH [A-Z]+", number) for number in found)
    assert any(len({*number.split()} & {*TENS}) == 2 for number in found)


def test_every_month_and_day():
    dates = said("date", 3000)
    found = {word for date in dates for word in date.split()}
    months = "JANUARY FEBRUARY MARCH APRIL MAY JUNE JULY AUGUST SEPTEMBER"
    assert {*months.split(), "OCTOBER", "NOVEMBER", "DECEMBER"} <= found
    assert {"THIRTIETH", "EIGHTEENTH", "THIRTEEN", "NINETEEN"} <= found
    # Some months are spelled.
    assert any(date.startswith("F E B ") for date in dates)


def test_commands():
    found = [words.split() for words in said("command", 1000)]
    assert {words[0] for words in found if len(words) == 1} == set(COMMANDS)
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
    kinds = "command name street city postcode telephone date"
    assert set(drawn) == set(kinds.split())
    assert 0.35 < drawn.count("command") / len(drawn) < 0.45
