"""The caches of compiled code, asked in one way: Numba's and CUDA's."""

import os

import pytest
from cuda_devices import H100

from speechbrain_ligru_fast import kept
from speechbrain_ligru_fast.backends.cuda import build
from speechbrain_ligru_fast.backends.cuda.plan import plan


class Cubins:
    """Cubins by number, from a compiler that only counts."""

    variable = "SPEECHBRAIN_LIGRU_CACHE"
    unsafe = "is no folder that this user"
    said = kept._said
    # What a disk refuses.
    writes = [(kept.tempfile, "mkstemp"), (os, "replace")]

    def __init__(self, folder, monkeypatch):
        monkeypatch.setenv(self.variable, str(folder))
        self.compiled = 0

        def compile_cubin(plan, arch, macros):
            self.compiled += 1
            return b"cubin %d" % macros["ACTIVATION"], ""

        monkeypatch.setattr(build, "compile_cubin", compile_cubin)
        monkeypatch.setattr(build, "compiler_version", lambda: "13.0")
        self.plan = plan(64, 8, "fp32", H100)

    def loads(self, number=1, arch="sm_90a"):
        """Gets code that is right; whether it was there, not compiled."""
        before = self.compiled
        macros = {"IO": 0, "ACTIVATION": number}
        assert build.cubin(self.plan, arch, macros) == b"cubin %d" % number
        return self.compiled == before


class Loops:
    """C functions by number, which Numba compiles in no time."""

    variable = "NUMBA_CACHE_DIR"
    unsafe = "other users can write"

    def __init__(self, folder, monkeypatch):
        pytest.importorskip("numba")
        from numba import types
        from numba.core import caching, config

        from speechbrain_ligru_fast.backends.numba import compiling

        self.compiling, self.said = compiling, compiling._said
        self.signature = types.float64(types.float64)
        self.writes = [(caching, "open"), (os, "replace")]
        monkeypatch.setattr(config, "CACHE_DIR", str(folder))
        # Nobody else may write the package, whatever this machine's say.
        source = folder.parent / "package" / "source.py"
        source.parent.mkdir(mode=0o700)
        source.touch()
        monkeypatch.setattr(compiling, "__file__", str(source))

    def function(self, number):
        def square(x):
            return x * x + number

        return square

    def loads(self, number=1):
        """Gets code that is right; whether it was there, not compiled."""
        square = self.function(float(number))
        found = self.compiling.compiled(self.signature, square)
        assert found.ctypes(3.0) == 9.0 + number
        return bool(found._cache_hits)


def begin(kind, tmp_path, monkeypatch):
    """A cache with entry 1, of which nothing was said so far."""
    before = os.umask(0o022)
    try:
        made = kind(tmp_path / "cache", monkeypatch)
        assert not made.loads()
    finally:
        os.umask(before)
    (made.folder,) = (tmp_path / "cache").iterdir()
    made.said.clear()
    return made
