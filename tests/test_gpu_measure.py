"""What the GPU suite times, and how, on a CPU."""

import functools
import time

import pytest
import torch

from benchmarks.cases import LIGRU_MODELS, Case
from benchmarks.gpu import (
    cases,
    clock,
    layer,
    measure,
    rivals,
)
from speechbrain_ligru_fast.backends import choose
from speechbrain_ligru_fast.backends.spec import ScanSpec
from speechbrain_ligru_fast.scan import operator as ops


def test_a_decoders_step_goes_on_from_a_state():
    """Timed with a state on every rival, and among the first cases."""
    steps = [case for case in cases.FULL.cases if case.steps == 1]
    assert steps and all(case.with_hx for case in steps)
    assert steps[0] in cases.FULL.cases[: cases.FULL.first]
    spec = ScanSpec()
    taken = choose("auto", "cpu", torch.float32, spec, 1).__name__
    taken = taken.rpartition(".")[2]
    for model in cases.MODELS:
        case = Case(model, 4, 4, 2, 1, with_hx=True)
        impls = measure.implementations(case, [taken], "cpu", None)
        # Beside the backend that it takes, and only there.
        assert ("auto" in impls) == (model in LIGRU_MODELS)
        other = measure.implementations(case, ["reference"], "cpu", None)
        assert taken != "reference" and "auto" not in other
        for impl in impls:
            built = layer.build(impl, case, "cpu").eval()
            outputs = [
                layer.training_step(built, case, "cpu", "infer", None)()
                for _ in range(2)
            ]
            assert outputs[0].shape == (2, 1, 4)
            assert not torch.equal(*outputs), "random states"


def test_a_rival_that_is_wrong_is_not_timed(monkeypatch):
    class Stale(rivals.CublasSteps):
        """Gives again what it gave the first time."""

        kept = None

        def __call__(self, w):
            if self.kept is None:
                self.kept = super().__call__(w).clone()
            return self.kept

    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(
        rivals,
        "RECURRENCES",
        {"right": (rivals.CublasSteps, True), "stale": (Stale, True)},
    )
    notes = []
    case = Case("LiGRU", 8, 8, 2, 2, directions=2)
    rows = [
        row["impl"]
        for name in rivals.RECURRENCES
        for row in rivals.recurrence(
            name, case, cases.DRY, "cpu", 1, clock.Clock("cpu", 0), notes.append
        )
    ]
    assert rows == ["right"]
    assert [line.split(": error")[0] for line in notes] == [
        "FAILED stale: call 1", "FAILED stale: call 2",
    ]  # fmt: skip


def test_compiling_needs_time():
    notes, none = [], clock.Clock("cpu", 0)
    case = Case("LiGRU", 8, 8, 2, 2)
    rows = rivals.layer(
        "speechbrain-compile", case, "cpu", none, notes.append, lambda: 10
    )
    assert list(rows) == []
    assert notes == ["no speechbrain-compile: no time to compile it"]


def test_calls_take_turns(monkeypatch):
    """Each round has every call once; memory of none is forgotten."""
    calls = []
    monkeypatch.setattr(clock, "MAX_RUNS", 5)
    timed = clock.Clock("cpu", 60).interleave(
        {name: functools.partial(calls.append, name) for name in "abc"}
    )
    assert list(timed) == list("abc") and len(calls) == 15
    rounds = [calls[i : i + 3] for i in range(0, 15, 3)]
    assert all(sorted(turn) == list("abc") for turn in rounds)
    assert len(set(map(tuple, rounds))) > 1


def test_scripted_layers_are_warm_before_they_are_timed(monkeypatch):
    """Three calls even of a slow one: the first ones specialise."""
    made = []
    monkeypatch.setattr(
        measure, "training_step", lambda *given: functools.partial(made.append)
    )
    monkeypatch.setattr(measure, "build", lambda *_: torch.nn.Identity())
    warm = {}

    class Slow(clock.Clock):
        def warm(self, call, least=2):
            calls = []
            super().warm(lambda: calls.append(time.sleep(0.001)), least)
            warm[len(warm)] = len(calls)

        def interleave(self, calls, queued=False):
            return {}

    case = Case("LiGRU", 4, 4, 2, 3)
    names = ["speechbrain", "speechbrain-jit"]
    bf16 = measure.PRECISIONS[:1]
    list(measure.layers([case], names, "cpu", Slow("cpu", 0), print, bf16))
    assert list(warm.values()) == [2, 3, 2, 3]


@pytest.mark.parametrize("model", LIGRU_MODELS)
def test_backward_is_the_recurrence_alone(model, monkeypatch):
    """It is given what each step started from, and leaves it as it was."""
    case = Case(model, 4, 4, 2, 3, directions=2)
    w, u = torch.randn(2, 3, 8), torch.randn(8, 4)
    calls = dict(measure.scan_calls(case, "torchscript", w, u))
    assert list(calls) == ["infer", "backward", "gradients"]
    (du,) = calls["gradients"]()

    def outside(*_):
        raise AssertionError("not a part of the recurrence")

    monkeypatch.setattr(ops, "previous_hidden", outside)
    first, again = calls["backward"](), calls["backward"]()
    assert all(torch.equal(*pair) for pair in zip(first, again))
    # With a GEMM it gives the operator's gradient: same scan, same seed.
    assert first[1].shape == (2, 2, 3, 8) and du.shape == u.shape
    with pytest.raises(AssertionError, match="recurrence"):
        calls["gradients"]()
