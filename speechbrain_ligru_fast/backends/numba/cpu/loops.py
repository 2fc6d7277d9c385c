"""The loops as C functions, kept compiled on disk."""

import hashlib
from pathlib import Path

from numba import carray, njit, types

from speechbrain_ligru_fast.backends import spec
from speechbrain_ligru_fast.backends.numba import compiling
from speechbrain_ligru_fast.backends.numba.cpu import arguments as arg
from speechbrain_ligru_fast.backends.numba.cpu import vectors
from speechbrain_ligru_fast.backends.numba.cpu.arguments import ARGUMENTS
from speechbrain_ligru_fast.backends.numba.cpu.backward import (
    backward as backward_loop,
)
from speechbrain_ligru_fast.backends.numba.cpu.backward import (
    pack as backward_pack,
)
from speechbrain_ligru_fast.backends.numba.cpu.barrier import (
    rank_and_size,
    wait_for_all,
)
from speechbrain_ligru_fast.backends.numba.cpu.forward import (
    forward as forward_loop,
)
from speechbrain_ligru_fast.backends.numba.cpu.forward import (
    pack as forward_pack,
)


def source_hash():
    """Identifies the code, for Numba's cache on disk.

    Numba looks at the file of the cached function alone; what it calls lives
    in the others of this folder, and what numbers the activations in spec.py.
    Nor does it know the width that was chosen for the vectors: machines of
    several kinds may share a cache.
    """
    digest = hashlib.sha256(str(vectors.VECTOR_BYTES).encode())
    for path in (*sorted(Path(__file__).parent.glob("*.py")), spec.__file__):
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()


@njit
def shares(arguments, count):
    """Tables of all shares of rows, this thread's rank, and two numbers.

    Those are of the threads, and of a share's: all of them for the only
    share, one for each of many.
    """
    first = carray(arguments, (count,))
    tables = carray(arguments, (first[arg.SHARES], count))
    rank, threads = rank_and_size(first)
    return tables, rank, threads, threads if len(tables) == 1 else 1


@njit
def meet(tables, threads):
    """Waits for the weights, which all shares read; a team does so itself."""
    if len(tables) > 1:
        wait_for_all(tables[0, arg.PACKING], threads, 1)


def compiled(direction, real, words, fingerprint):
    """A C function ``void f(int64 *arguments)`` around a loop.

    Its products read ``words`` of operands.py, or numbers if that is None.

    What the functions below enclose is a part of the key in Numba's cache on
    disk: plain values only, for a compiled function among them would give
    every process a key of its own.
    """
    size = real(0).itemsize
    element = words or real
    count = len(ARGUMENTS)

    def forward(arguments):
        fingerprint  # noqa: B018
        tables, rank, threads, team = shares(arguments, count)
        forward_pack(real(0), element(0), tables[0], size, rank, threads)
        meet(tables, threads)
        for i in range(0 if team > 1 else rank, len(tables), threads):
            forward_loop(
                real(0), element(0), tables[i], size, rank % team, team
            )

    def backward(arguments):
        fingerprint  # noqa: B018
        tables, rank, threads, team = shares(arguments, count)
        backward_pack(real(0), element(0), tables[0], size, rank, threads)
        meet(tables, threads)
        for i in range(0 if team > 1 else rank, len(tables), threads):
            backward_loop(
                real(0), element(0), tables[i], size, rank % team, team
            )

    function = forward if direction == "forward" else backward
    signature = types.void(types.CPointer(types.int64))
    return compiling.compiled(signature, function)
