"""The test of whether two implementations reach the same error rate."""

import pandas as pd
import pytest

from benchmarks import equivalence

COMMAND = "python train.py a.yaml --seed {} '--rnn_class=!name:{}' "
COMMAND += "--noprogressbar --lr {}"


def rows(impl, rates, lr=0.1, **cells):
    """A result row a rate, of seeds 1, 2, ..."""
    shared = {"device": "d", "threads": 1, "corpus": "c", "split": "test"}
    shared |= {"recipe": "r", "rnn": "LiGRU", "lm": "none", "impl": impl}
    shared |= {"precision": "fp32", "epochs": 3.0, "settings": f"{impl}{lr}"}
    return [
        shared
        | {"seed": str(seed), "per": rate}
        | {"command": COMMAND.format(seed, impl, lr)}
        | cells
        for seed, rate in enumerate(rates, 1)
    ]


def test_noise_and_a_difference():
    noise = equivalence.compare([10, 11, 12, 13], [10.5, 11.5, 12.5, 11.6])
    assert noise["p"] > 0.5 and noise["low"] < 0 < noise["high"]
    worse = equivalence.compare([20, 21, 22, 23], [10, 11, 12, 13])
    assert worse["difference"] == 10
    # The most extreme of 70 divisions, on both sides.
    assert worse["p"] == pytest.approx(2 / 70)
    assert 0 < worse["low"] < 10 < worse["high"]


def test_only_the_same_recipe_is_compared():
    ours = rows("numba", [10, 11, 12, 13])
    stock = rows("speechbrain", [10, 12, 14, 11])
    # A seed counts once.
    ours = rows("torchscript", [1, 2, 3, 4]) + ours
    found = equivalence.pairs(pd.DataFrame(ours + stock))
    ((shared, rate, our_rates, stock_rates),) = found
    assert rate == "per"
    assert (our_rates, stock_rates) == ([10, 11, 12, 13], [10, 12, 14, 11])
    assert shared["others"] == ("a.yaml", "--lr=0.1", "--noprogressbar")
    for other in (
        rows("speechbrain", [10, 12, 14]),
        rows("speechbrain", [10, 12, 14, 11], lr=0.2),
        rows("speechbrain", [10, 12, 14, 11], epochs=4.0),
        rows("torch", [10, 12, 14, 11], rnn="LSTM"),
    ):
        assert equivalence.pairs(pd.DataFrame(ours + other)) == []
    assert equivalence.pairs(pd.DataFrame()) == []


def test_the_table():
    class Data:
        recipes = pd.DataFrame(
            rows("numba", [20, 21, 22, 23])
            + rows("speechbrain", [10, 11, 12, 13])
        )

    last = equivalence.table(Data).splitlines()[-1]
    assert "| 3 | --lr=0.1 | PER | 21.50 ± 1.29 (4) | 11.50 ± 1.29" in last
    assert "| +10.00 |" in last
    assert last.endswith("| 0.03 | NO |")
