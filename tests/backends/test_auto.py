"""What ``auto`` picks, and what it says of those that it passes over."""

import logging
import types

import pytest
import torch
import twins
from fresh import python

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.backends import failures
from speechbrain_ligru_fast.backends.failures import Broken
from speechbrain_ligru_fast.backends.spec import BACKENDS, ScanSpec


def pick(steps=9, dtype=torch.float32, **options):
    """The name of the backend that is taken on a CPU."""
    scan = "cpu", dtype, ScanSpec(**options), steps
    return backends.choose("auto", *scan).__name__.rpartition(".")[2]


def test_the_first_that_can():
    first = next(n for n in BACKENDS[1:] if n in twins.available())
    assert pick(steps=100) == first
    assert pick(steps=1) == "torchscript"


def test_it_falls_through_and_says_so(replace, caplog, said):
    """What is not there by choice is said at INFO, once."""
    replace(numba="no FMA here")
    with caplog.at_level(logging.INFO, "speechbrain_ligru_fast"):
        ours = fast.LiGRU(4, (2, 9, 3))
        ours(torch.randn(2, 9, 3))
        ours(torch.randn(2, 9, 3))
    assert "torchscript; not numba: no FMA here" in said()
    assert caplog.records[0].levelno == logging.INFO
    with pytest.raises(RuntimeError, match="no FMA here"):
        fast.LiGRU(4, (2, 9, 3), backend="numba")(torch.randn(2, 9, 3))


def test_a_broken_numba_is_said_aloud_once(replace, caplog, said):
    replace(numba=Broken("Numba needs NumPy 2.3 or less"))
    for dtype in (torch.float32, torch.float64):
        assert pick(dtype=dtype) == "torchscript"
    for words in ("'numba' can't", "NumPy 2.3 or less", "pip install"):
        assert words in said()
    # Who asks for no numba is told nothing.
    caplog.clear()
    failures._said.clear()
    backends.choose("torchscript", "cpu", torch.float32, ScanSpec(), steps=9)
    pick(steps=1)
    assert not caplog.records


def test_who_has_set_up_no_logging_sees_it(tmp_path):
    (tmp_path / "numba").mkdir()
    source = 'raise ImportError("Numba needs NumPy 2.3 or less. Got 2.4.")'
    (tmp_path / "numba" / "__init__.py").write_text(source)
    done = python(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import torch; from speechbrain_ligru_fast import ligru_scan\n"
        "for _ in range(2): ligru_scan(torch.ones(2, 5, 8), torch.ones(8, 4))\n"
        "print('speechbrain_ligru_fast.backends.triton' in sys.modules)",
        str(tmp_path),
    )
    # A CPU needs no Triton, whose import takes its time.
    assert done.stdout == "False\n", done.stderr
    (said,) = [n for n in done.stderr.splitlines() if "backend" in n]
    assert "numba" in said and "Got 2.4" in said


def test_a_refusal_is_by_option(replace):
    """A backend may refuse a spec: the next is taken for it alone."""

    def unavailable(device, dtype, spec):
        return "no tanh here" if spec.nonlinearity == "tanh" else None

    name = "backends.numba"
    replace(numba=types.SimpleNamespace(__name__=name, unavailable=unavailable))
    assert pick() == "numba"
    assert pick(nonlinearity="tanh") == "torchscript"
    with pytest.raises(RuntimeError, match="no tanh here"):
        backends.choose("numba", "cpu", torch.float32, ScanSpec("tanh"))
