"""A step's gates for one vector of units: forward a row, backward all rows."""

from numba import njit

from speechbrain_ligru_fast.backends.numba.cpu import arguments as arg
from speechbrain_ligru_fast.backends.numba.cpu import (
    memory,
    operands,
    pointwise,
)
from speechbrain_ligru_fast.backends.numba.cpu.panels import (
    padded_row_count,
    place,
)
from speechbrain_ligru_fast.backends.numba.cpu.vectors import VECTOR_BYTES


@njit
def step_unit(
    real, element, code, save, row, state, operand, tile, half, sink, unit,
    other,
):  # fmt: skip
    """Applies the gate equations to one vector of units of an active row.

    ``row`` is the row's place in the table, ``unit`` the vector's offset in
    bytes and ``other`` the distance from candidate to gate.
    """
    w = memory.load_int(row) + unit
    ga = gz = sink
    if save != 0:
        ga = memory.load_int(row + 16) + unit
        gz = ga + other
    pointwise.forward_point(
        real,
        code,
        tile,
        tile + half,
        w,
        w + other,
        state,
        memory.load_int(row + 32) + unit,
        memory.load_int(row + 8) + unit,
        state,
        ga,
        gz,
    )
    operands.store(real, element, operand, state)


@njit
def gate_gradients(
    real, element, p, unit_vector, active, table, dst, sums, size
):
    """Gate gradients of one vector of units at one step, for active rows."""
    row_bytes = padded_row_count(element, p) * VECTOR_BYTES
    other = p[arg.HIDDEN] * size
    unit = unit_vector * VECTOR_BYTES
    carries = p[arg.STATE] + unit_vector * row_bytes
    gate_vector = unit_vector + other // VECTOR_BYTES
    oa = dst + place(element, unit_vector, 0, row_bytes)
    oz = dst + place(element, gate_vector, 0, row_bytes)
    code, layernorm = p[arg.CODE], p[arg.LAYERNORM]
    dgates, gates = p[arg.DGATES] + unit, p[arg.GATES] + unit
    weight, normed = p[arg.LN_WEIGHT] + unit, p[arg.NORMED] + unit
    for r in range(active):
        at = r * VECTOR_BYTES
        entry = table + r * arg.ROW_BYTES
        saved = memory.load_int(entry + 8)
        da = dgates + saved
        pointwise.backward_point(
            real,
            code,
            memory.load_int(entry) + unit,
            carries + at,
            gates + saved,
            gates + saved + other,
            memory.load_int(entry + 16) + unit,
            memory.load_int(entry + 32) + unit,
            da,
            da + other,
        )
        if layernorm == 0:
            operands.store(real, element, oa + at, da)
            operands.store(real, element, oz + at, da + other)
            continue
        for gate in range(2):
            pointwise.norm_sums_point(
                real,
                da + gate * other,
                weight + gate * other,
                normed + saved + gate * other,
                sums + 2 * at,
                sums + 2 * at + VECTOR_BYTES,
            )
