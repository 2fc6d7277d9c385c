"""The check finds what is wrong, in every type, and nothing else."""

import types

import pytest
import torch

from speechbrain_ligru_fast.backends import loading, reference, trial
from speechbrain_ligru_fast.backends.kinds import Kind, cases
from speechbrain_ligru_fast.backends.spec import ScanSpec

TYPES = (
    ("float64", "float64"),
    ("float32", "float32"),
    ("bfloat16", "float32"),
    ("bfloat16", "bfloat16"),
    ("float16", "float16"),
)
RESULTS = ("output", "gates", "normed", "rstd")
GRADIENTS = ("grad of gates", "grad of projection", "grad of h0")


def changed(index, change, backward):
    """A backend of which one result is not what it should be."""
    name = "scan_backward" if backward else "scan_forward"

    def function(*arguments):
        found = list(getattr(reference, name)(*arguments))
        found[index] = change(found[index])
        return tuple(found)

    both = {n: getattr(reference, n) for n in ("scan_forward", "scan_backward")}
    return types.SimpleNamespace(**both | {name: function})


@pytest.mark.parametrize("dtypes", TYPES, ids="/".join)
def test_one_percent(dtypes):
    """Of any result; and no fault is found in what is right."""
    kind = Kind(40, 8, ScanSpec("tanh", 2, True), *dtypes)
    assert trial.check(loading.load("torchscript"), kind, "cpu", seed=5) == []
    for names, backward in ((RESULTS, False), (GRADIENTS, True)):
        for index, name in enumerate(names):
            module = changed(index, lambda x: 1.01 * x, backward)
            wrong = trial.check(module, kind, "cpu", seed=5)
            assert wrong and all(w.startswith(f"{name} with") for w in wrong)


def one_wrong(x):
    x = x.clone()
    x.view(-1)[0] += 1
    return x


def test_a_batch_that_fills_no_tile():
    """A kind's rows are rounded up: most batches of it have fewer."""
    kind = Kind(8, 16, ScanSpec(directions=2))
    only = changed(0, lambda x: x * (1 if x.size(0) == 8 else 1.01), False)
    (wrong,) = trial.check(only, kind, "cpu")
    assert wrong.startswith("output with no option")


@pytest.mark.parametrize(
    "change, words",
    [
        (one_wrong, "largest"),
        (lambda x: x * float("nan"), "error nan"),
        (lambda x: x[..., :-1], "shape"),
        (lambda x: x + 1e-7 * torch.rand(()), "other bits in another run"),
        (lambda x: torch.empty_like(x), "nan"),
    ],
)
def test_other_faults(change, words):
    """Also memory that was never written, and what differs by the run."""
    kind = Kind(8, 4)
    wrong = trial.check(changed(0, change, True), kind, "cpu")
    assert len(wrong) == 2
    assert all(words in line for line in wrong)


def test_a_seed_chooses_options():
    kind = Kind(8, 4, ScanSpec(layernorm=True))
    given = {
        tuple(n for n in trial.OPTIONAL if x[n] is not None)
        for seed in range(8)
        for _, x, *_ in trial.expected(kind, seed)
    }
    assert trial.OPTIONAL in given and () in given and len(given) == 9


def test_the_cases_hold_every_option():
    found = cases("cuda", everything=True)
    assert found[: len(cases("cuda"))] == cases("cuda")
    assert len(set(found)) == len(found)
    for values in (
        {kind.spec.nonlinearity for kind in found},
        {(kind.dtype, kind.io, kind.tf32) for kind in found},
        {kind.rows for kind in found},
    ):
        assert len(values) >= 4
    assert {kind.steps for kind in found} == {1, 12}
    assert not any(kind.tf32 for kind in cases("cpu", everything=True))
