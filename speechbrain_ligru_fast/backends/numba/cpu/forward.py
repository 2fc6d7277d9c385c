"""The CPU's forward loop over time, which every thread of a team runs.

Numba compiles it as Python: each thread owns some vectors of units, and the
team meets after each step.
"""

from numba import njit

from speechbrain_ligru_fast.backends.numba.cpu import (
    amx,
    memory,
    operands,
    pointwise,
)
from speechbrain_ligru_fast.backends.numba.cpu import arguments as arg
from speechbrain_ligru_fast.backends.numba.cpu.barrier import (
    keep_pace,
    wait_for_all,
)
from speechbrain_ligru_fast.backends.numba.cpu.frames import (
    active_rows,
    clear_ends,
    locate_inputs,
    row_of,
)
from speechbrain_ligru_fast.backends.numba.cpu.gates import step_unit
from speechbrain_ligru_fast.backends.numba.cpu.layernorm import normalise_step
from speechbrain_ligru_fast.backends.numba.cpu.panels import (
    clear_padding,
    multiply,
    pack_forward,
    padded_row_count,
    place,
    rows_of_a_tile,
)
from speechbrain_ligru_fast.backends.numba.cpu.tiles import TILE_VECTORS
from speechbrain_ligru_fast.backends.numba.cpu.vectors import VECTOR_BYTES


@njit
def pack(real, element, p, size, rank, threads):
    """Packs this thread's part of the weights for ``forward``."""
    lanes = VECTOR_BYTES // size
    vectors = p[arg.HIDDEN] // lanes
    depth = p[arg.HIDDEN] >> operands.narrow(element)
    for q in range(vectors * rank // threads, vectors * (rank + 1) // threads):
        pack_forward(real, p, q, depth, lanes, size)


@njit
def forward(real, element, p, size, rank, threads, others):
    """Runs all steps of a share's rows; the weights are packed.

    ``rank`` is this thread's number in the share's team of ``threads``.
    """
    lanes = VECTOR_BYTES // size
    hidden, rows = p[arg.HIDDEN], p[arg.ROWS]
    vectors = hidden // lanes
    halved = operands.narrow(element)
    depth, groups = hidden >> halved, vectors >> halved
    all_rows = padded_row_count(element, p)
    row_bytes = all_rows * VECTOR_BYTES
    buffer_bytes = groups * row_bytes
    panel_bytes = depth * TILE_VECTORS * VECTOR_BYTES
    other = hidden * size
    code, save, layernorm = p[arg.CODE], p[arg.SAVE], p[arg.LAYERNORM]
    packed, operand = p[arg.PACKED], p[arg.OPERAND]
    first = vectors * rank // threads
    last = vectors * (rank + 1) // threads
    scratch = p[arg.SCRATCH] + rank * arg.SCRATCH_BYTES
    sink = scratch + arg.SINK
    sums = p[arg.SUMS] + rank * 2 * row_bytes
    table = p[arg.TABLE] + rank * rows * arg.ROW_BYTES
    # With LayerNorm, the products wait in a buffer behind the operands.
    waiting = operand + 2 * buffer_bytes

    for q in range(first, last):
        for r in range(all_rows):
            state = p[arg.STATE] + q * row_bytes + r * VECTOR_BYTES
            at = operand + place(element, q, r, row_bytes)
            operands.zero(real, element, at + buffer_bytes)
            if r < rows and p[arg.H0] != 0:
                source = p[arg.H0] + (row_of(p, r) * hidden + q * lanes) * size
                memory.copy_vector(real, state, source)
            else:
                memory.zero_vector(real, state)
            operands.store(real, element, at, state)
    for which in (arg.OUTPUT, arg.GATES, arg.NORMED):
        clear_ends(real, p, which, first, last, size)
    amx.begin(element, p[arg.TILES], scratch + arg.KEPT)
    phase = 1
    wait_for_all(p[arg.BARRIER], threads, phase)

    for step in range(p[arg.STEPS]):
        keep_pace(p, step, others)
        src = operand + (step & 1) * buffer_bytes
        dst = operand + ((step + 1) & 1) * buffer_bytes
        active = active_rows(p, step)
        locate_inputs(p, table, step, size)
        if layernorm != 0:
            for r in range(2 * active):
                memory.zero_vector(real, sums + r * VECTOR_BYTES)
        for i in range(first, last):
            # Turning round at the ends keeps what the cache holds in use.
            q = i if step & 1 == 0 else first + last - 1 - i
            unit = q * VECTOR_BYTES
            row = 0
            while row < active:
                block = rows_of_a_tile(element, all_rows - row)
                half = block * VECTOR_BYTES
                used = min(block, active - row)
                tile = scratch
                if layernorm != 0:
                    tile = waiting + 2 * (q * row_bytes + row * VECTOR_BYTES)
                else:
                    # The product takes as long as memory needs to answer.
                    for r in range(row, row + used):
                        w = memory.load_int(table + r * arg.ROW_BYTES)
                        memory.prefetch(w + unit)
                        memory.prefetch(w + unit + other)
                multiply(
                    element, packed + q * panel_bytes, src, row, block, tile,
                    groups, row_bytes,
                )  # fmt: skip
                clear_padding(real, p, tile, q, used, lanes)
                clear_padding(real, p, tile + half, q, used, lanes)
                for j in range(used):
                    at = tile + j * VECTOR_BYTES
                    r = row + j
                    if layernorm != 0:
                        moments = sums + 2 * r * VECTOR_BYTES
                        pointwise.moments_point(
                            real,
                            at,
                            at + half,
                            moments,
                            moments + VECTOR_BYTES,
                        )
                        continue
                    state = p[arg.STATE] + q * row_bytes + r * VECTOR_BYTES
                    entry = table + r * arg.ROW_BYTES
                    step_unit(
                        real, element, code, save, entry, state,
                        dst + place(element, q, r, row_bytes), at, half,
                        sink, unit, other,
                    )  # fmt: skip
                row += block
        phase += 1
        wait_for_all(p[arg.BARRIER], threads, phase)
        if layernorm != 0:
            normalise_step(
                real, element, p, active, first, last, threads, dst, waiting,
                sink, table, size,
            )  # fmt: skip
            phase += 1
            wait_for_all(p[arg.BARRIER], threads, phase)
    amx.end(element, scratch + arg.KEPT)
