"""Programs that run at the same time: no races, no hang, no silent error."""

import importlib.util
import pathlib

import pytest
import torch
from conformance import check_equals
from machine import Machine, Race
from scan_cases import drawn
from triton.runtime.errors import InterpreterError

from speechbrain_ligru_fast import ligru_scan
from speechbrain_ligru_fast.backends import triton
from speechbrain_ligru_fast.backends.triton import backward, device, forward

pytestmark = pytest.mark.usefixtures("poisoned_memory")

SEEDS = range(2)


@pytest.fixture(autouse=True)
def no_failed_launches():
    yield
    triton._failures.cache_clear()


def check(layernorm, seed=0):
    """A forward and a backward of 6 programs."""
    given = drawn(
        37, batch=9, steps=3, directions=2, layernorm=layernorm,
        nonlinearity="tanh",
    )  # fmt: skip
    given["lengths"] = torch.tensor([3, 2, 3, 1, 0, 3, 3, 2, 3])
    with Machine(seed):
        check_equals("triton", given, 2e-6, 1e-5)


# Without a barrier in a launch, no schedule is another.
@pytest.mark.parametrize("persistent, seed", [(True, 0), (True, 1), (False, 0)])
@pytest.mark.parametrize("layernorm", [False, True])
def test_no_schedule_races(persistent, seed, layernorm, planned):
    planned(persistent=persistent, resident=persistent)
    check(layernorm, seed)


# Each mistake as (text in device.py, what replaces it).
MISTAKES = {
    "waits for nobody": ("spins = 0\n", "spins = 0\n    target = 0\n"),
    "waits for one too few": ("spins = 0\n", "spins = 0\n    target -= 1\n"),
    "arrivals order nothing": ('sem="acq_rel"', 'sem="relaxed"'),
    "arrivals don't acquire": ('sem="acq_rel"', 'sem="release"'),
    "arrivals don't release": ('sem="acq_rel"', 'sem="acquire"'),
    "looks don't acquire": ('0, sem="acquire"', '0, sem="relaxed"'),
    "arrives before its threads": (
        "    tl.debug_barrier()\n    arr",
        "    arr",
    ),
    "goes on before they know": ("    tl.debug_barrier()\n    ret", "    ret"),
}


@pytest.fixture
def mistaken(tmp_path):
    """A function that imports a module with one text replaced."""

    def changed(module, old, new):
        text = pathlib.Path(module.__file__).read_text()
        assert text.count(old) == 1
        path = tmp_path / "mistaken.py"
        path.write_text(text.replace(old, new))
        spec = importlib.util.spec_from_file_location("mistaken", path)
        found = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
        return found

    return changed


def assert_race(layernorm):
    """Some schedule fails, and with a race."""
    with pytest.raises(InterpreterError) as raised:
        for seed in SEEDS:
            check(layernorm, seed)
    cause = raised.value
    while isinstance(cause, InterpreterError):
        cause = cause.__cause__
    assert isinstance(cause, Race)


@pytest.mark.parametrize("layernorm", [False, True])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_found(
    mistake, layernorm, mistaken, planned, monkeypatch
):
    planned()
    wait = mistaken(device, *MISTAKES[mistake]).wait
    for kernel in (forward, backward):
        monkeypatch.setattr(kernel, "wait", wait)
    assert_race(layernorm)


@pytest.mark.parametrize(
    "module, index", [(forward, "step + 1"), (backward, "i + 1")]
)
def test_one_buffer_would_not_do(module, index, mistaken, planned, monkeypatch):
    """Who is early would store over what others still multiply."""
    planned()
    changed = mistaken(module, f"({index}) % 2", "0")
    changed = mistaken(changed, f"({index[:-4]} % 2)", "0")
    name = module.__name__.rsplit(".", 1)[1] + "_kernel"
    monkeypatch.setattr(triton, name, getattr(changed, name))
    assert_race(layernorm=False)


@pytest.mark.parametrize("kernel", ["forward", "backward"])
@pytest.mark.parametrize("layernorm", [False, True])
def test_a_program_that_never_runs(kernel, layernorm, planned, monkeypatch):
    """The others give up, their results are NaN, the next launch says so."""
    monkeypatch.setattr(triton, "SPIN_LIMIT", 20)
    given = drawn(37, batch=10, steps=3, directions=2, layernorm=layernorm)

    def run(**mode):
        planned(**mode)
        return ligru_scan(**given, backend="triton")

    output = run(persistent=False)
    # Six programs in two groups of rows; the second is complete.
    with Machine(stuck=(1,)):
        if kernel == "forward":
            got = run().unflatten(2, (2, 37)).movedim(2, 0).flatten(0, 1)
            last, others = got[:10, 2], got[16:]
        else:
            planned()
            (got,) = torch.autograd.grad(output.sum(), given["h0"])
            last, others = got[:16], got[16:]
    # Of the stuck program's own units nothing is known.
    alive = torch.ones(37, dtype=torch.bool)
    alive[16:32] = False
    assert last[:, alive].isnan().all()
    assert others.isfinite().all()
    message = f"{kernel}_kernel with 10 utterances, 3 steps, 37 units.* on cpu"
    with pytest.raises(RuntimeError, match=message):
        run()
    run(persistent=False)
