"""Write sentences of the kinds that AN4's speakers said.

``python -m tools.demo_corpus.an4_sentences --out FILE``

They spelled names and addresses, said numbers and dates, and gave commands
with letters and digits drawn at random (A. Acero, "Acoustical and
Environmental Robustness in Automatic Speech Recognition", 1993). A language
model hears few names and not every month in 846 transcripts. First and last
names are drawn as often as they are given in the United States; Faker makes
streets and cities up. Hundreds and thousands are left to the transcripts.
"""

import argparse
import datetime
import re
from pathlib import Path
from string import ascii_uppercase

from faker import Faker
from num2words import num2words

# Births, of people who could speak when AN4 was recorded.
FIRST_DAY, LAST_DAY = datetime.date(1901, 1, 1), datetime.date(1985, 12, 31)
COMMANDS = "GO HELP NO REPEAT START STOP YES".split()


class Sentences:
    """Draws sentences: A to Z, words with one space between them.

    Arguments
    ---------
    seed : int
        The same seed and the same version of Faker give the same sentences.

    Example
    -------
    >>> sentences = Sentences(seed=1)
    >>> sentences.telephone()
    'FOUR ONE SEVEN SEVEN SEVEN SIX THREE'
    """

    def __init__(self, seed):
        self.fake = Faker("en_US")
        self.fake.seed_instance(seed)
        self.random = self.fake.random
        # Commands and names as often as in AN4's training set, the rest, of
        # which it has little, more often.
        self.kinds = {
            self.command: 40,
            self.name: 20,
            self.street: 10,
            self.city: 5,
            self.postcode: 8,
            self.telephone: 7,
            self.date: 10,
        }

    def draw(self):
        """One of any kind."""
        (kind,) = self.random.choices(list(self.kinds), self.kinds.values())
        return kind()

    def name(self):
        """A first or a last name, spelled."""
        half = self.random.random() < 0.5
        return _spell(self.fake.first_name() if half else self.fake.last_name())

    def street(self):
        """A street, spelled, with or without a number."""
        street = _spell(self.fake.street_name())
        return " ".join(filter(None, [self._either("", self.number()), street]))

    def city(self):
        """A city, spelled."""
        return _spell(self.fake.city())

    def postcode(self):
        """Five digits."""
        return self._digits(5)

    def telephone(self):
        """Seven digits, or ten with the area code."""
        return self._digits(self._either(7, 7, 7, 10))

    def date(self):
        """A day, a month and a year, the month as a word or a number."""
        # Without a zone Faker takes the machine's.
        date = self.fake.date_time_between_dates(
            FIRST_DAY, LAST_DAY, datetime.UTC
        )
        month, day = f"{date:%B}", num2words(date.day, to="ordinal")
        if self.random.random() < 0.1:
            month = _spell(self._either(month, month[:3]))
        year = num2words(date.year, to="year")
        year = self._either(year, year.removeprefix("nineteen "))
        return _words(
            self._either(
                f"{month} {day} {year}",
                f"{month} {num2words(date.day)} {year}",
                f"{num2words(date.day)} {month} {year}",
                f"{num2words(date.month)} {num2words(date.day)} {year}",
            )
        )

    def number(self):
        """One to four digits, or a number said by its pairs of digits."""
        digits = self.random.randint(1, 4)
        number = self.random.randrange(10 ** (digits - 1), 10**digits)
        pairs = [number // 100, number % 100] if number > 99 else [number]
        if 0 in pairs or self.random.random() < 0.3:
            return self._digits(digits)
        return _words(
            " ".join(
                ("oh " if place and pair < 10 else "") + num2words(pair)
                for place, pair in enumerate(pairs)
            )
        )

    def command(self):
        """A command, with or without what it is about."""
        if self.random.random() < 0.3:
            return self.random.choice(COMMANDS)
        if self.random.random() < 0.3:
            return f"ENTER {self.number()}"
        count = self.random.randint(1, 5)
        letters = " ".join(self.random.choices(ascii_uppercase, k=count))
        verb = self._either("", "ERASE ", "RUBOUT ")
        return f"{verb}{letters} {self.number()}"

    def _digits(self, count):
        zero = self._either("ZERO", "OH")
        digits = (self.random.randrange(10) for _ in range(count))
        return " ".join(_words(num2words(d)) if d else zero for d in digits)

    def _either(self, *options):
        return self.random.choice(options)


def _spell(text):
    return " ".join(re.sub("[^A-Z]", "", text.upper()))


def _words(text):
    """Of what num2words gives: 'twenty-third'."""
    return " ".join(re.sub("[^A-Z]", " ", text.upper()).split())


def main():
    """Write some to a file, one a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    parser.add_argument("--number", type=int, default=12000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.number < 1:
        parser.error(f"--number must be positive, got {options.number}")
    sentences = Sentences(options.seed)
    lines = "".join(f"{sentences.draw()}\n" for _ in range(options.number))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(lines, encoding="utf-8")
    print(f"{options.number} sentences written to {options.out}")


if __name__ == "__main__":
    main()
