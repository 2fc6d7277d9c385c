"""SLiGRU's second half of a step: its sums are of units of all threads."""

import numpy as np
from numba import njit

from speechbrain_ligru_fast.backends.numba.cpu import arguments as arg
from speechbrain_ligru_fast.backends.numba.cpu import (
    memory,
    operands,
    pointwise,
)
from speechbrain_ligru_fast.backends.numba.cpu.frames import (
    length_of,
    row_of,
)
from speechbrain_ligru_fast.backends.numba.cpu.gates import step_unit
from speechbrain_ligru_fast.backends.numba.cpu.panels import (
    padded_row_count,
    place,
    rows_of_a_tile,
)
from speechbrain_ligru_fast.backends.numba.cpu.tiles import TILE_ROWS
from speechbrain_ligru_fast.backends.numba.cpu.vectors import VECTOR_BYTES


@njit
def mean_sums(kind, p, threads, row_bytes, row, size):
    """A row's two sums, over threads and lanes, divided by their count.

    ``kind`` is a number of the sums' type, of ``size`` bytes.
    """
    count = 2 * p[arg.TRUE_HIDDEN]
    first = second = kind * 0
    for thread in range(threads):
        at = p[arg.SUMS] + 2 * (thread * row_bytes + row * VECTOR_BYTES)
        for lane in range(0, VECTOR_BYTES, size):
            first += memory.load_real(kind, at + lane)
            second += memory.load_real(kind, at + VECTOR_BYTES + lane)
    return kind + first / count, kind + second / count


# A variance and an epsilon of 0 give infinity, not an error.
@njit(error_model="numpy")
def normalise_step(
    real, element, p, active, first, last, threads, dst, waiting, sink, table,
    size,
):  # fmt: skip
    """SLiGRU's second half of a step: LayerNorm, then the gates."""
    all_rows = padded_row_count(element, p)
    row_bytes = all_rows * VECTOR_BYTES
    other = p[arg.HIDDEN] * size
    code, save = p[arg.CODE], p[arg.SAVE]
    whole = rows_of_a_tile(element, TILE_ROWS)
    eps = memory.load_real(real, p[arg.EPS])
    for r in range(active):
        row = r // whole * whole
        block = rows_of_a_tile(element, all_rows - row)
        half = block * VECTOR_BYTES
        entry = table + r * arg.ROW_BYTES
        # In float64, for the difference of two large numbers; words come
        # with any mean.
        mean, square = mean_sums(np.float64(0), p, threads, row_bytes, r, 8)
        variance = max(square - mean * mean, 0.0)
        rstd = 1 / np.sqrt(variance + eps)
        if save != 0 and first == 0:
            cell = memory.load_int(entry + 40)
            memory.store_real(real, p[arg.RSTD] + cell * size, rstd)
        for q in range(first, last):
            unit = q * VECTOR_BYTES
            tile = (
                waiting
                + 2 * (q * row_bytes + row * VECTOR_BYTES)
                + (r - row) * VECTOR_BYTES
            )
            for gate in range(2):
                n = sink
                if save != 0:
                    n = memory.load_int(entry + 24) + unit + gate * other
                pointwise.norm_point(
                    real,
                    mean,
                    rstd,
                    tile + gate * half,
                    p[arg.LN_WEIGHT] + unit + gate * other,
                    p[arg.LN_BIAS] + unit + gate * other,
                    n,
                )
            state = p[arg.STATE] + q * row_bytes + r * VECTOR_BYTES
            step_unit(
                real, element, code, save, entry, state,
                dst + place(element, q, r, row_bytes), tile, half, sink, unit,
                other,
            )  # fmt: skip


@njit
def norm_gradients(
    real, element, p, first, last, step, active, threads, table, dst, size
):
    """SLiGRU: from the gates' gradients to those of the products.

    Those of the gates are in the products' place if directions are joined.
    """
    row_bytes = padded_row_count(element, p) * VECTOR_BYTES
    vectors = p[arg.HIDDEN] * size // VECTOR_BYTES
    dgates, dprojected = p[arg.DGATES], p[arg.DPROJECTED]
    weight, normed = p[arg.LN_WEIGHT], p[arg.NORMED]
    for r in range(active):
        entry = table + r * arg.ROW_BYTES
        mean, product = mean_sums(real, p, threads, row_bytes, r, size)
        cell = memory.load_int(entry + 40)
        rstd = memory.load_real(real, p[arg.RSTD] + cell * size)
        saved = memory.load_int(entry + 8)
        joined = memory.load_int(entry + 24)
        # The steps of an utterance's two rows at a frame add up to this.
        both = length_of(p, row_of(p, r) % p[arg.BATCH]) - 1
        # Forward rows come first, so that theirs is the middle frame.
        comes_first = 2 * step + (row_of(p, r) < p[arg.BATCH]) > both
        for v in range(first, last):
            for gate in range(2):
                vector = gate * vectors + v
                unit = vector * VECTOR_BYTES
                dp = dprojected + saved + unit
                if p[arg.JOINED] != 0 and comes_first:
                    memory.copy_vector(real, joined + unit, dp)
                elif p[arg.JOINED] != 0:
                    memory.add_vector(real, joined + unit, dp)
                pointwise.norm_backward_point(
                    real,
                    rstd,
                    mean,
                    product,
                    dgates + saved + unit,
                    weight + unit,
                    normed + saved + unit,
                    dp,
                )
                at = dst + place(element, vector, r, row_bytes)
                operands.store(real, element, at, dp)
