"""The check finds what is wrong, in every type, and nothing else."""

import types

import pytest
import torch

from speechbrain_ligru_fast.backends import loading, reference, trial
from speechbrain_ligru_fast.backends.kinds import Kind, cases
from speechbrain_ligru_fast.backends.spec import ScanSpec

RESULTS = {
    "scan_forward": ("output", "gates", "normed", "rstd"),
    "scan_backward": ("grad of gates", "grad of projection", "grad of h0"),
}


def faults(kind, index, change, name, **options):
    """What is found of a backend whose one result is changed."""

    def function(*arguments):
        found = list(getattr(reference, name)(*arguments))
        found[index] = change(found[index])
        return tuple(found)

    both = {n: getattr(reference, n) for n in RESULTS}
    module = types.SimpleNamespace(**both | {name: function})
    return trial.check(module, kind, "cpu", **options)


@pytest.mark.parametrize(
    "dtypes",
    [
        ("float64", "float64"), ("float32", "float32"),
        ("bfloat16", "float32"), ("bfloat16", "bfloat16"),
        ("float16", "float16"),
    ],
    ids="/".join,
)  # fmt: skip
def test_one_percent(dtypes):
    """Of any result; and no fault is found in what is right."""
    kind = Kind(40, 8, ScanSpec("tanh", 2, True), *dtypes)
    assert trial.check(loading.load("torchscript"), kind, "cpu", seed=5) == []
    for function, names in RESULTS.items():
        for index, name in enumerate(names):
            wrong = faults(kind, index, lambda x: 1.01 * x, function, seed=5)
            assert wrong and all(w.startswith(f"{name} with") for w in wrong)


def test_a_batch_that_fills_no_tile():
    """A kind's rows are rounded up: most batches of it have fewer."""
    kind = Kind(8, 16, ScanSpec(directions=2))

    def change(x):
        return x * (1 if x.size(0) == 8 else 1.01)

    (wrong,) = faults(kind, 0, change, "scan_forward")
    assert wrong.startswith("output with no option")


def one_wrong(x):
    x = x.clone()
    x.view(-1)[0] += 1
    return x


@pytest.mark.parametrize(
    "change, words",
    [
        (one_wrong, "largest"),
        (lambda x: x * float("nan"), "error nan"),
        (lambda x: x[..., :-1], "shape"),
        (lambda x: x + 1e-7 * torch.rand(()), "other bits in another run"),
        (torch.empty_like, "nan"),
    ],
)
def test_other_faults(change, words):
    """Also memory that was never written, and what differs by the run."""
    wrong = faults(Kind(8, 4), 0, change, "scan_backward")
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
    assert len({kind.spec.nonlinearity for kind in found}) >= 4
    assert len({(kind.dtype, kind.io, kind.tf32) for kind in found}) >= 4
    assert len({kind.rows for kind in found}) >= 4
    assert {kind.steps for kind in found} == {1, 12}
    assert not any(kind.tf32 for kind in cases("cpu", everything=True))
