"""Kernels that the GPU suite compiles before it needs them."""

import pytest

from benchmarks.gpu import cases, kernels, trials
from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.backends import cuda
from speechbrain_ligru_fast.backends.cuda.plan import Limits

H200 = Limits((9, 0), 132, 232448, 16)


@pytest.fixture(autouse=True)
def anywhere(monkeypatch):
    """The backend takes tensors of a CPU; none of its kernels runs."""
    monkeypatch.setattr(cuda, "unavailable", lambda *_: None)
    backends._choose.cache_clear()
    yield
    backends._choose.cache_clear()


def test_the_first_scans_ask_for_both_tiers_in_every_type():
    asked = kernels.asked(trials.small(cases.FULL), "cpu", H200)
    kinds = {(plan.tier, plan.operand, plan.backward) for plan, _ in asked}
    for tier in ("cluster", "grid"):
        for operand in ("fp32", "tf32", "bf16"):
            for backward in (False, True):
                assert (tier, operand, backward) in kinds
        # Its gradients have float32's range.
        assert (tier, "fp16", False) in kinds
    assert cuda.launch is kernels.launch


def test_what_is_timed_asks_for_what_its_steps_do():
    first = cases.FULL.cases[:1]
    asked = kernels.asked(trials.timed(first), "cpu", H200)
    kinds = {(plan.layernorm, plan.backward, plan.operand) for plan, _ in asked}
    assert len(kinds) == len(asked) == 2 * 7
    assert all(dict(macros)["ACTIVATION"] == 0 for _, macros in asked)


def test_they_are_compiled_once(tmp_path, monkeypatch):
    monkeypatch.setenv("SPEECHBRAIN_LIGRU_CACHE", str(tmp_path / "cubins"))
    monkeypatch.setattr(kernels.os, "cpu_count", lambda: 1)
    (one, *_) = asked = kernels.asked(
        trials.options(cases.DRY)[:1], "cpu", H200
    )
    assert len(asked) == 2
    assert kernels.compile_all([one], H200.arch) == ([], 1)
    assert len(list((tmp_path / "cubins").iterdir())) == 1
    assert kernels.compile_all([one], H200.arch) == ([], 0)
    errors, count = kernels.compile_all([one], "sm_1")
    assert count == 0 and "--gpu-architecture" in errors[0]
