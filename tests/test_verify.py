"""What is timed is compared with SpeechBrain's layer first."""

import math

import pytest

from benchmarks import cases, impls, verify
from benchmarks.cases import Case


@pytest.mark.usefixtures("poisoned_memory")
def test_every_backend_equals_stock_in_every_option():
    ours = [name for name in impls.names() if impls.is_ours(name)]
    assert {"reference", "torchscript", "numba"} <= set(ours)
    found = verify.check_options(ours, cases.PARITY_CASES)
    for name in ours:
        covered = {c.case for c in found if c.impl == name}
        assert covered == set(cases.PARITY_CASES)
    assert [str(comparison) for comparison in found if not comparison.ok] == []


def test_relative_errors_catch_what_is_missing():
    case = Case("LiGRU", 5, 3, 2, 4, dtype="fp64")
    want = verify.quantities("speechbrain", case)
    assert set(want) == {
        "output",
        "hidden",
        "grad x",
        "grad rnn.0.w.weight",
        "grad rnn.0.u.weight",
        "grad rnn.0.norm.weight",
        "grad rnn.0.norm.bias",
        "rnn.0.norm.running_mean",
        "rnn.0.norm.running_var",
    }
    nan = verify.Comparison("x", case, "output", math.nan, 1.0)
    assert not nan.ok
