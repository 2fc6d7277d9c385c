"""Every test here makes its own choice of a backend."""

import os

import pytest

from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.backends import failures, loading

# These run in a process that interprets Triton (triton/test_triton.py) or
# simulates CUDA (numba/test_gpu.py) from the start.
collect_ignore = []
if os.environ.get("TRITON_INTERPRET") != "1":
    collect_ignore.append("triton/interpreted")
if os.environ.get("NUMBA_ENABLE_CUDASIM") != "1":
    collect_ignore.append("numba/simulated")


@pytest.fixture(autouse=True)
def fresh_choice(monkeypatch):
    """So far nothing was chosen, nothing has failed and nothing was said."""
    monkeypatch.setattr(backends, "_refused", failures.Refused())
    monkeypatch.setattr(failures, "_said", set())
    backends._choose.cache_clear()
    yield
    backends._choose.cache_clear()


@pytest.fixture
def replace(put):
    """Puts modules, or reasons why there is none, in the place of ours."""
    genuine = loading.load
    return lambda **others: put(
        loading, load=lambda name: others.get(name) or genuine(name)
    )


@pytest.fixture
def the_end(put):
    """Does what a program does at its end."""
    registered = []
    put(failures.atexit, register=lambda *call: registered.append(call))

    def end():
        for function, *arguments in registered:
            function(*arguments)

    return end
