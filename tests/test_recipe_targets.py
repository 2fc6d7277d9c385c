"""The table that judges what the recipes reach, from made-up rows."""

from types import SimpleNamespace

import pytest

from benchmarks import recipe_targets
from benchmarks.rows import load
from speechbrain_ligru_fast.asr.results import append_row

WITHOUT_LM, WITH_LM, LSTM, CPU_JIT, CPU_LSTM, CPU_PADDED, GPU_JIT, GPU_LSTM = (
    range(8)
)


@pytest.fixture
def judged(tmp_path):
    """Judges rows; a line a target: measured, met, commits."""

    def judge(rows):
        path = tmp_path / "recipes.csv"
        path.unlink(missing_ok=True)
        for row in rows:
            append_row(path, row)
        data = SimpleNamespace(recipes=load(path))
        _, _, *lines = recipe_targets.table(data).splitlines()
        cells = [line.strip("| ").split(" | ") for line in lines]
        assert len(cells) == 8 and all(len(line) >= 4 for line in cells)
        return [(*line[2:], "")[:3] for line in cells]

    return judge


def an4(rnn, wers, **cells):
    """A row a seed of AN4's recipe."""
    base = {"date": "d", "device": "CPU", "threads": 1, "corpus": "AN4"}
    base |= {"recipe": "librispeech/an4", "split": "test-an4", "lm": "none"}
    base |= {"rnn": rnn, "impl": "torch" if rnn == "LSTM" else "numba"}
    base |= {"epochs": 90, "params": 1000, "settings": rnn, "commit": "c1"}
    base |= {"epoch_s": 9, "command": "python train.py a.yaml --device cpu"}
    return [
        base | {"seed": seed, "wer": wer} | cells
        for seed, wer in enumerate(wers, 1)
    ]


def test_error_rates(judged):
    found = judged(
        [
            *an4("SLiGRU", [7, 7.5, 8.3], commit="c2"),
            *an4("LiGRU", [6, 7, 8]),
            *an4("LiGRU", [6.5, 6.6, 7], lm="rnnlm", commit="c3"),
            *an4("LSTM", [6.8, 7, 7.2], params=1090, commit="c4"),
            # Another size, which the comparison leaves out
            *an4("LSTM", [5, 5, 5], params=1110, settings="large"),
        ]
    )
    ours = "7.00 ± 1.00 (LiGRU, 3 seeds, 1000 parameters)"
    assert found[WITHOUT_LM] == (ours, "yes", "c1")
    with_lm = "6.70 ± 0.26 (LiGRU, 3 seeds, 1000 parameters)"
    assert found[WITH_LM] == (with_lm, "NO", "c3")
    lstm = "7.00 ± 0.20 (LSTM, 3 seeds, 1090 parameters)"
    assert found[LSTM] == (f"{ours} against {lstm}", "yes", "c1, c4")


def test_two_language_models_are_two_systems(judged):
    first = an4("SLiGRU", [6, 6, 6], lm="lm", commit="c1")
    second = an4("SLiGRU", [7, 7], lm="lm-sentences", commit="c2")
    # Of the second there are too few seeds yet: not filled up by the first.
    three = "6.00 ± 0.00 (SLiGRU, 3 seeds, 1000 parameters)"
    assert judged([*first, *second])[WITH_LM] == (three, "yes", "c1")
    second = an4("SLiGRU", [7, 7, 7], lm="lm-sentences", commit="c2")
    three = "7.00 ± 0.00 (SLiGRU, 3 seeds, 1000 parameters)"
    assert judged([*first, *second])[WITH_LM] == (three, "NO", "c2")


def test_worse_than_the_lstm(judged):
    rows = [*an4("SLiGRU", [7, 7, 7.1]), *an4("LSTM", [7, 7, 7])]
    assert judged(rows)[LSTM][1] == "NO"


def test_too_few_seeds_are_not_judged(judged):
    missing = "not measured"
    found = judged(
        [
            *an4("SLiGRU", [7, 8]),
            *an4("SLiGRU", [5, 5], device="another CPU"),  # the same seeds
            *an4("SLiGRU", [5], settings="other"),
            *an4("LiGRU", [1, 1, 1], impl="speechbrain"),
        ]
    )
    assert found[WITHOUT_LM] == ("2 of 3 seeds of ours", missing, "")
    assert found[WITH_LM] == ("0 of 3 seeds of ours", missing, "")
    assert found[LSTM] == ("2 of 3 seeds of ours", missing, "")
    found = judged([*an4("LiGRU", [7, 7, 7]), *an4("LSTM", [8, 8])])
    assert found[LSTM] == ("2 of 3 seeds of the LSTM", missing, "")


def test_settings_are_not_chosen_on_the_test_set(judged):
    old, new = an4("LiGRU", [5, 5, 5]), an4("LiGRU", [9, 9, 9], settings="new")
    assert judged([*old, *new])[WITHOUT_LM][1] == "NO"
    assert judged([*new, *old])[WITHOUT_LM][1] == "yes"


def timit(impl, seconds, device="cpu", seeds=(1,), options="", **cells):
    """Rows of the TIMIT recipe's epoch time."""
    rnn = "LSTM" if impl.startswith("torch") else "LiGRU"
    base = {"date": "d", "device": device, "threads": 2, "corpus": "demo"}
    base |= {"recipe": "demo/timit", "split": "test", "lm": "none"}
    base |= {"epochs": 12, "precision": "fp32", "commit": "c1", "wer": ""}
    base |= {"rnn": rnn, "impl": impl, "settings": impl, "params": 9, "per": 9}
    command = f"python train.py a.yaml --device {device} {options}"
    command += f" --rnn_class=!name:{impl} --output_folder {impl}"
    base |= {"epoch_s": seconds, "command": command}
    return [base | {"seed": seed} | cells for seed in seeds]


def test_epoch_times(judged):
    found = judged(
        [
            *timit("numba", 10, seeds=(1, 2)),
            *timit("speechbrain-jit", 14, options="--jit"),
            *timit("torch", 10, seeds=(1, 2)),
            *timit("cuda", 10, device="cuda:0"),
            *timit("torch", 10, device="cuda:0"),
        ]
    )
    of = "demo/timit on demo, seeds: {}, {}, 2 threads)"
    assert found[CPU_JIT] == (
        "1.40 (14.0 s with 9 parameters, ours 10.0 s with 9; "
        + of.format(1, "cpu"),
        "NO",
        "c1",
    )
    # More than 1 is wanted on a CPU, and 1 on a GPU.
    assert found[CPU_LSTM][0].endswith(of.format(2, "cpu"))
    assert found[CPU_LSTM][1:] == ("NO", "c1")
    assert found[GPU_LSTM][1:] == ("yes", "c1")
    assert found[GPU_JIT][1] == "not measured"
    better = [*timit("numba", 10), *timit("speechbrain-jit", 15)]
    assert judged(better)[CPU_JIT][1] == "yes"


@pytest.mark.parametrize(
    "other",
    [
        {"commit": "c2"},
        {"threads": 1},
        {"corpus": "TIMIT"},
        {"epochs": 13},
        {"seeds": (2,)},
        {"options": "--rnn_neurons 8"},
        {"recipe": "librispeech/an4"},
    ],
)
def test_an_epoch_is_compared_with_nothing_else(judged, other):
    rows = [*timit("numba", 10), *timit("torch", 20)]
    assert judged(rows)[CPU_LSTM][1] == "yes"
    rows = [*timit("numba", 10), *timit("torch", 20, **other)]
    assert judged(rows)[CPU_LSTM][1] == "not measured"


def test_the_newest_comparison_counts(judged):
    rows = [*timit("numba", 10), *timit("torch", 20)]
    rows += [*timit("numba", 10, commit="c2"), *timit("torch", 9, commit="c2")]
    found = judged(rows)[CPU_LSTM]
    assert found[1:] == ("NO", "c2") and found[0].startswith("0.90 ")


def test_an_lstm_over_padding_has_a_line_of_its_own(judged):
    rows = [*timit("numba", 10), *timit("torch", 20)]
    found = judged([*rows, *timit("torch-padded", 9)])
    assert found[CPU_LSTM][0].startswith("2.00 ")
    assert found[CPU_PADDED][0].startswith("0.90 ")
    assert found[CPU_PADDED][1] == "NO"
    assert judged(rows)[CPU_PADDED][1] == "not measured"


def test_other_comparisons_are_not_kept_in_silence(judged):
    rows = [*timit("numba", 10, corpus="A"), *timit("torch", 20, corpus="A")]
    rows += [*timit("numba", 10), *timit("torch", 9)]
    found = judged(rows)[CPU_LSTM][0]
    assert found.startswith("0.90 ")
    assert found.endswith("; the newest of 2 comparisons, 0.90 to 2.00")


def test_an_epochs_ratio_says_how_large_both_are(judged):
    rows = [*timit("numba", 10), *timit("torch", 20, params=23)]
    assert (
        "with 23 parameters, ours 10.0 s with 9;" in judged(rows)[CPU_LSTM][0]
    )


def test_without_rows(tmp_path):
    data = SimpleNamespace(recipes=load(tmp_path / "none.csv"))
    assert recipe_targets.table(data) == "No rows yet."
