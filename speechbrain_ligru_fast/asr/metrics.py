"""Word, character and phone error rates, by jiwer."""

import csv

import jiwer


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
        units = {"word": jiwer.process_words, "char": jiwer.process_characters}
        if unit not in units:
            raise ValueError(f"unit must be word or char, got {unit!r}")
        self.unit = unit
        self.scoring = scoring
        self._process = units[unit]
        self.clear()

    def clear(self):
        """Forget every utterance."""
        self.ids, self.references, self.hypotheses = [], [], []

    def append(self, ids, references, hypotheses):
        """Add a batch.

        Arguments
        ---------
        ids, references, hypotheses : list of str
            One of each an utterance.
        """
        self.ids += ids
        self.references += map(self._scored, references)
        self.hypotheses += map(self._scored, hypotheses)

    def _scored(self, text):
        if self.scoring is not None:
            text = self.scoring(text)
        return " ".join(text.split())

    def summarize(self):
        """The error rate in percent; nan without any utterance."""
        if not self.ids:
            return float("nan")
        output = self._process(self.references, self.hypotheses)
        errors = output.substitutions + output.deletions + output.insertions
        tokens = output.hits + output.substitutions + output.deletions
        return 100.0 * errors / tokens

    def write(self, path):
        """Write the error rate and every alignment.

        Arguments
        ---------
        path : path-like
        """
        output = self._process(self.references, self.hypotheses)
        with open(path, "w", encoding="utf-8") as file:
            scored = f", scored on {self.scoring}" if self.scoring else ""
            file.write(
                f"{self.unit} error rate {self.summarize():.2f} %{scored}\n"
            )
            for i, name in enumerate(self.ids, 1):
                file.write(f"sentence {i}: {name}\n")
            file.write(jiwer.visualize_alignment(output))

    def write_texts(self, path):
        """Write what was said and what was recognised, an utterance a row.

        Arguments
        ---------
        path : path-like
        """
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", "reference", "hypothesis"])
            writer.writerows(zip(self.ids, self.references, self.hypotheses))
