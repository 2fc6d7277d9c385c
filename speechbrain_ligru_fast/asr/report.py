"""Prints the rows of a result file as a table.

Example
-------
python -m speechbrain_ligru_fast.asr.report results.csv
"""

import argparse
import sys

from speechbrain_ligru_fast.training.results import read_rows

_COLUMNS = {
    **{"corpus": "corpus", "split": "split", "rnn": "layer", "impl": "by"},
    **{"lm": "LM", "epochs": "epochs", "wer": "WER %", "cer": "CER %"},
    **{"per": "PER %", "epoch_s": "s/epoch", "decode_rtf": "RTF"},
    **{"params": "parameters", "peak_mb": "MiB"},
    **{"train_manifest": "trained on", "test_manifest": "tested on"},
    **{"changes": "changed on the way"},
}
_WORDS = ("corpus", "split", "rnn", "impl", "lm", "changes")


def table(rows):
    """Lines of text, columns aligned; columns that are empty are left out.

    Example
    -------
    >>> print(*table([{"rnn": "LiGRU", "wer": "9.1", "cer": ""}]), sep="\\n")
    layer  WER %
    LiGRU    9.1
    """
    shown = [key for key in _COLUMNS if any(row.get(key) for row in rows)]
    columns = [[_COLUMNS[k], *(row.get(k, "") for row in rows)] for k in shown]
    for key, cells in zip(shown, columns):
        width, right = max(map(len, cells)), "<" if key in _WORDS else ">"
        cells[:] = [f"{cell:{right}{width}}" for cell in cells]
    return ["  ".join(line).rstrip() for line in zip(*columns)]


def main(arguments=None):
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results_csv")
    try:
        _, rows = read_rows(parser.parse_args(arguments).results_csv)
    except (OSError, ValueError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    print(*table(rows), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
