"""The CPU's backward loop over time, which every thread of a team runs."""

from numba import njit

from speechbrain_ligru_fast.backends.numba.cpu import (
    amx,
    memory,
    operands,
)
from speechbrain_ligru_fast.backends.numba.cpu import arguments as arg
from speechbrain_ligru_fast.backends.numba.cpu.barrier import (
    keep_pace,
    wait_for_all,
)
from speechbrain_ligru_fast.backends.numba.cpu.frames import (
    active_rows,
    clear_ends,
    locate_saved,
    prefetch_saved,
    row_of,
)
from speechbrain_ligru_fast.backends.numba.cpu.gates import gate_gradients
from speechbrain_ligru_fast.backends.numba.cpu.layernorm import norm_gradients
from speechbrain_ligru_fast.backends.numba.cpu.panels import (
    clear_padding,
    multiply,
    pack_backward,
    padded_row_count,
    place,
    rows_of_a_tile,
)
from speechbrain_ligru_fast.backends.numba.cpu.tiles import TILE_VECTORS
from speechbrain_ligru_fast.backends.numba.cpu.vectors import VECTOR_BYTES


@njit
def pack(real, element, p, size, rank, threads):
    """Packs this thread's part of the weights for ``backward``."""
    lanes = VECTOR_BYTES // size
    vectors = p[arg.HIDDEN] // lanes
    panels = -(-vectors // TILE_VECTORS)
    depth = 2 * p[arg.HIDDEN] >> operands.narrow(element)
    for q in range(panels * rank // threads, panels * (rank + 1) // threads):
        pack_backward(real, p, q, depth, lanes, size)


@njit
def backward(real, element, p, size, rank, threads, others):
    """As ``forward``, from the last step to the first."""
    lanes = VECTOR_BYTES // size
    hidden, rows = p[arg.HIDDEN], p[arg.ROWS]
    vectors = hidden // lanes
    panels = -(-vectors // TILE_VECTORS)
    halved = operands.narrow(element)
    depth, groups = 2 * hidden >> halved, 2 * vectors >> halved
    all_rows = padded_row_count(element, p)
    row_bytes = all_rows * VECTOR_BYTES
    buffer_bytes = groups * row_bytes
    panel_bytes = depth * TILE_VECTORS * VECTOR_BYTES
    first = panels * rank // threads
    last = panels * (rank + 1) // threads
    first_vector = first * TILE_VECTORS
    last_vector = min(last * TILE_VECTORS, vectors)
    scratch = p[arg.SCRATCH] + rank * arg.SCRATCH_BYTES
    sums = p[arg.SUMS] + rank * 2 * row_bytes

    for v in range(first_vector, last_vector):
        for r in range(all_rows):
            at = v * row_bytes + r * VECTOR_BYTES
            memory.zero_vector(real, p[arg.STATE] + at)
            for gate in range(2):
                at = place(element, gate * vectors + v, r, row_bytes)
                for buffer in range(2):
                    operands.zero(
                        real,
                        element,
                        p[arg.OPERAND] + buffer * buffer_bytes + at,
                    )
    for which in (arg.DGATES, arg.DPROJECTED, arg.JOINED):
        clear_ends(real, p, which, first_vector, last_vector, size)
    amx.begin(element, p[arg.TILES], scratch + arg.KEPT)
    phase = 1
    wait_for_all(p[arg.BARRIER], threads, phase)

    table = p[arg.TABLE] + rank * rows * arg.ROW_BYTES
    locate_saved(p, table, p[arg.STEPS] - 1, size)
    for i in range(p[arg.STEPS]):
        keep_pace(p, i, others)
        step = p[arg.STEPS] - 1 - i
        active = active_rows(p, step)
        dst = p[arg.OPERAND] + (i & 1) * buffer_bytes
        if p[arg.LAYERNORM] != 0:
            for r in range(2 * active):
                memory.zero_vector(real, sums + r * VECTOR_BYTES)
        for v in range(first_vector, last_vector):
            gate_gradients(real, element, p, v, active, table, dst, sums, size)
        phase += 1
        wait_for_all(p[arg.BARRIER], threads, phase)
        if p[arg.LAYERNORM] != 0:
            norm_gradients(
                real, element, p, first_vector, last_vector, step, active,
                threads, table, dst, size,
            )  # fmt: skip
            phase += 1
            wait_for_all(p[arg.BARRIER], threads, phase)
        if step > 0:
            locate_saved(p, table, step - 1, size)
        # Before the first step there is dh0 alone, which may not be asked for.
        end = last if step > 0 or p[arg.DH0] != 0 else first
        for j in range(first, end):
            q = j if step & 1 == 0 else first + last - 1 - j
            columns = min(TILE_VECTORS, vectors - q * TILE_VECTORS)
            row = 0
            while row < active:
                block = rows_of_a_tile(element, all_rows - row)
                used = min(block, active - row)
                for v in range(columns):
                    prefetch_saved(
                        p, q * TILE_VECTORS + v, row, used, table, size
                    )
                multiply(
                    element, p[arg.PACKED] + q * panel_bytes, dst, row, block,
                    scratch, groups, row_bytes,
                )  # fmt: skip
                for v in range(columns):
                    vector = q * TILE_VECTORS + v
                    product = scratch + v * block * VECTOR_BYTES
                    clear_padding(real, p, product, vector, used, lanes)
                    carries = p[arg.STATE] + vector * row_bytes
                    for r in range(used):
                        memory.add_vector(
                            real,
                            carries + (row + r) * VECTOR_BYTES,
                            product + r * VECTOR_BYTES,
                        )
                row += block

    for v in range(first_vector, last_vector if p[arg.DH0] != 0 else 0):
        for r in range(rows):
            memory.copy_vector(
                real,
                p[arg.DH0] + (row_of(p, r) * hidden + v * lanes) * size,
                p[arg.STATE] + v * row_bytes + r * VECTOR_BYTES,
            )
    amx.end(element, scratch + arg.KEPT)
