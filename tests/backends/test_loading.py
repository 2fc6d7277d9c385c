"""A library that is absent or broken is a reason, and no error."""

import types

import pytest

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.backends import loading
from speechbrain_ligru_fast.backends.failures import Broken


@pytest.fixture(autouse=True)
def fresh_modules():
    load = loading.load
    load.cache_clear()
    yield
    load.cache_clear()


def test_a_missing_library_that_is_optional_is_no_fault(put):
    def absent(path):
        name = path.rpartition(".")[2]
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    put(loading.importlib, import_module=absent)
    reasons = [loading.load(name) for name in ("triton", "numba")]
    assert [isinstance(r, Broken) for r in reasons] == [False, True]


def test_a_broken_library_is_a_reason(put):
    broken = "libllvmlite.so: cannot open shared object file"

    def fail(path):
        raise OSError(broken)

    put(loading.importlib, import_module=fail)
    reason = fast.available_backends()["numba"]
    assert reason == f"its library can't be imported: {broken}"


def test_a_library_that_fails_when_asked_is_a_reason(replace):
    def unavailable(device_type, dtype, spec):
        raise AttributeError("module 'triton' has no attribute 'knobs'")

    replace(triton=types.SimpleNamespace(unavailable=unavailable))
    reason = fast.available_backends()["triton"]
    assert reason.startswith("its library can't be asked: module 'triton'")
    assert isinstance(reason, Broken)
    with pytest.raises(RuntimeError, match="no attribute 'knobs'"):
        backends.choose("triton", "cpu", None, None)
