"""Word, character and phone error rates, by jiwer."""

import csv

import jiwer

_UNITS = {"word": jiwer.process_words, "char": jiwer.process_characters}


class ErrorRate:
    """Error rate of a whole set: all errors over all reference tokens.

    Arguments
    ---------
    unit : {"word", "char"}
        What is counted. Phones are words of their transcript; a character
        error rate counts the spaces too, as SpeechBrain's does.
    scoring : callable, optional
        What is scored of a text, a reference or hypothesis; its str() says
        so. Default: the text.

    Example
    -------
    >>> wer = ErrorRate("word")
    >>> wer.append(["utt1"], ["THE CAT SAT"], ["THE CAT"])
    >>> round(wer.summarize(), 2)
    33.33
    """

    def __init__(self, unit="word", scoring=None):
        self.unit, self.scoring = unit, scoring
        self.ids, self.references, self.hypotheses = [], [], []

    def append(self, ids, references, hypotheses):
        """Add a batch, one of each an utterance."""
        self.ids += ids
        self.references += map(self._scored, references)
        self.hypotheses += map(self._scored, hypotheses)

    def _scored(self, text):
        return " ".join((self.scoring(text) if self.scoring else text).split())

    def summarize(self):
        """The error rate in percent; nan without any utterance."""
        if not self.ids:
            return float("nan")
        output = _UNITS[self.unit](self.references, self.hypotheses)
        errors = output.substitutions + output.deletions + output.insertions
        tokens = output.hits + output.substitutions + output.deletions
        return 100.0 * errors / tokens

    def write(self, path):
        """Write the error rate and every alignment."""
        output = _UNITS[self.unit](self.references, self.hypotheses)
        scored = f", scored on {self.scoring}" if self.scoring else ""
        with open(path, "w", encoding="utf-8") as file:
            print(
                f"{self.unit} error rate {self.summarize():.2f} %{scored}",
                *(f"sentence {i}: {x}" for i, x in enumerate(self.ids, 1)),
                *(jiwer.visualize_alignment(output),),
                sep="\n",
                file=file,
            )

    def write_texts(self, path):
        """Write what was said and what was recognised, an utterance a row."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", "reference", "hypothesis"])
            writer.writerows(zip(self.ids, self.references, self.hypotheses))
