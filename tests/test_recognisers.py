"""README's table of recognisers, from made-up rows."""

from types import SimpleNamespace

import pytest

from benchmarks import recognisers
from benchmarks.rows import load
from benchmarks.tables import NOTHING
from speechbrain_ligru_fast.asr.results import append_row


def rows(rnn, wers, **cells):
    base = {"date": "d", "device": "CPU", "threads": 1, "corpus": "AN4"}
    base |= {"recipe": "librispeech/an4", "split": "test-an4", "lm": "none"}
    base |= {"rnn": rnn, "impl": "numba", "settings": "a", "epochs": 90}
    base |= {"params": 1000, "command": "python train.py a.yaml"}
    return [
        base | {"seed": seed, "wer": wer} | cells
        for seed, wer in enumerate(wers, 1)
    ]


@pytest.fixture
def shown(tmp_path):
    """A line a system of the table that rows give, its cells in a list."""

    def show(*found):
        path = tmp_path / "recipes.csv"
        for row in sum(found, []):
            append_row(path, row)
        text = recognisers.table(SimpleNamespace(recipes=load(path)))
        if text == NOTHING:
            return []
        lines = [line for line in text.splitlines() if line[:2] == "| "][2:]
        return [line[2:-2].split(" | ") for line in lines]

    return show


def test_each_seed_with_what_a_language_model_gives(shown):
    torch = {"impl": "torch", "params": 1090}
    assert shown(
        rows("LSTM", [9, 10, 11], **torch),
        rows("SLiGRU", [7, 8, 9]),
        rows("SLiGRU", [6, 6, 6], lm="lm", settings="b"),
        rows("SLiGRU", [4, 5, 6], lm="lm-sentences", settings="c"),
        rows("GRU", [12], **torch),
        # Another test set, and a test with the language model alone
        rows("GRU", [1], split="dev-an4", **torch),
        rows("LiGRU", [3, 3, 3], lm="lm"),
    ) == [
        ["GRU", "torch", "1090", "12.00 (one seed)", ""],
        ["LSTM", "torch", "1090", "10.00 ± 1.00 (9.00, 10.00, 11.00)", ""],
        [
            *("SLiGRU", "numba", "1000", "8.00 ± 1.00 (7.00, 8.00, 9.00)"),
            "5.00 ± 1.00 (4.00, 5.00, 6.00)",
        ],
    ]


def test_the_searches_of_both_columns_are_named(tmp_path):
    path = tmp_path / "recipes.csv"
    command = "python train.py a.yaml --lr 0.1"
    more = "--beam_size=24 --lm_weight=0.8 --lm_folder lm --test_only"
    for row in [
        *rows("SLiGRU", [7], command=command),
        *rows("SLiGRU", [6], command=f"{command} {more}", lm="lm"),
        *rows("GRU", [9], command=command),
    ]:
        append_row(path, row)
    text = recognisers.table(SimpleNamespace(recipes=load(path)))
    # The recipe's own beam, where the command names none.
    assert text.splitlines()[0] == (
        "The columns differ in the search as well: without LM `beam_size=10`, "
        "with LM `lm beam_size=24 lm_weight=0.8`."
    )


def test_settings_of_too_few_seeds_wait(shown):
    last = rows("LSTM", [2], settings="new")
    (line,) = shown(rows("LSTM", [5, 6, 7]), last)
    assert line[3] == "6.00 ± 1.00 (5.00, 6.00, 7.00)"


def test_nothing_to_show(shown):
    assert shown(rows("LSTM", [5], corpus="demo")) == []
