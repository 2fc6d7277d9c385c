"""What the cache on disk tells the loops apart by."""

import pytest

loops = pytest.importorskip("speechbrain_ligru_fast.backends.numba.cpu.loops")


def test_other_vectors_are_other_code(monkeypatch):
    """A shared cache serves CPUs with AVX-512 and without."""
    host = loops.source_hash()
    assert loops.source_hash() == host
    other = 32 if loops.vectors.VECTOR_BYTES != 32 else 64
    monkeypatch.setattr(loops.vectors, "VECTOR_BYTES", other)
    assert loops.source_hash() != host
