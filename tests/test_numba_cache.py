"""What Numba has compiled is found again, or the user is told why not."""

import logging
import os
import subprocess
import sys

import numpy
import pytest

loops = pytest.importorskip("speechbrain_ligru_fast.backends.numba.cpu.loops")

SCAN = """
import torch
from speechbrain_ligru_fast import ligru_scan
ligru_scan(torch.randn(2, 5, 8), torch.randn(8, 4), backend="numba")
"""


def test_a_second_process_compiles_nothing(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    found = []
    for _ in range(2):
        command = [sys.executable, "-c", SCAN]
        subprocess.run(command, env=environment, check=True)
        found.append(
            {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nb[ci]")}
        )
    assert any(path.suffix == ".nbc" for path in found[0])
    assert found[0] == found[1]


def test_other_vectors_are_other_code(monkeypatch):
    """A shared cache serves CPUs with AVX-512 and without."""
    host = loops.source_hash()
    assert loops.source_hash() == host
    other = 32 if loops.vectors.VECTOR_BYTES != 32 else 64
    monkeypatch.setattr(loops.vectors, "VECTOR_BYTES", other)
    assert loops.source_hash() != host


def test_no_folder_to_keep_it_in(monkeypatch, caplog):
    genuine = loops.cfunc

    def cfunc(signature, cache=False):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: (genuine, signature, function)

    monkeypatch.setattr(loops, "cfunc", cfunc)
    with caplog.at_level(logging.WARNING, "speechbrain_ligru_fast"):
        compiled = loops.compiled("forward", numpy.float32, False, "")
    assert compiled[2].__name__ == "forward"
    assert "NUMBA_CACHE_DIR" in caplog.text
