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
    backward as loop_backward,
)
from speechbrain_ligru_fast.backends.numba.cpu.backward import (
    pack as pack_backward,
)
from speechbrain_ligru_fast.backends.numba.cpu.barrier import (
    rank_and_size,
    wait_for_all,
)
from speechbrain_ligru_fast.backends.numba.cpu.forward import (
    forward as loop_forward,
)
from speechbrain_ligru_fast.backends.numba.cpu.forward import (
    pack as pack_forward,
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
def begin(arguments, count):
    """The tables of all shares, this thread's rank and how many there are."""
    first = carray(arguments, (count,))
    tables = carray(arguments, (first[arg.SHARES], count))
    return tables, *rank_and_size(first)


@njit
def assign(tables, rank, threads):
    """What a thread runs, once all have packed the weights.

    The only share is a team's; of several each is one thread's. OpenMP may
    have given fewer threads than there are shares.

    Returns this thread's first share and how far apart they are, and of them
    its number in the team, the team's size, and how many threads keep pace.
    """
    if len(tables) == 1:
        return 0, 1, (rank, threads, 1)
    # A team meets before its first step anyway.
    wait_for_all(tables[0, arg.SHARED_BARRIER], threads, 1)
    pace = threads if threads == len(tables) else 1
    return rank, threads, (0, 1, pace)


def compiled(direction, real, words, fingerprint):
    """A C function ``void f(int64 *arguments)`` around a loop.

    Its products read ``words`` of operands.py, or numbers if that is None.

    What the functions below enclose is a part of the key in Numba's cache on
    disk: plain values only, for a compiled function among them would give
    every process a key of its own. Nor can both be one function that is given
    its loop: Numba keeps none on disk that passes functions on.
    """
    size = real(0).itemsize
    element = words or real
    count = len(ARGUMENTS)

    def forward(arguments):
        fingerprint  # noqa: B018
        tables, rank, threads = begin(arguments, count)
        pack_forward(real(0), element(0), tables[0], size, rank, threads)
        share, apart, team = assign(tables, rank, threads)
        while share < len(tables):
            loop_forward(real(0), element(0), tables[share], size, *team)
            share += apart

    def backward(arguments):
        fingerprint  # noqa: B018
        tables, rank, threads = begin(arguments, count)
        pack_backward(real(0), element(0), tables[0], size, rank, threads)
        share, apart, team = assign(tables, rank, threads)
        while share < len(tables):
            loop_backward(real(0), element(0), tables[share], size, *team)
            share += apart

    function = forward if direction == "forward" else backward
    signature = types.void(types.CPointer(types.int64))
    return compiling.compiled(signature, function)
