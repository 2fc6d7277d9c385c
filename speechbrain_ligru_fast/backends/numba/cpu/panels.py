"""Panels of weights, packed once, and the operands that they multiply.

A *panel* is the set of units whose weights a tile holds: one vector of units
(both gates) in the forward, two vectors in the backward.

The operand buffers are laid out [group of lanes k][row][lane], so that a
vector of new states is stored in one piece and a tile reads its scalars at
constant offsets. Where a CPU multiplies bfloat16 faster than float32, words of
two k each are read instead (operands.py): the same layouts, half as deep.
"""

from numba import njit

from speechbrain_ligru_fast.backends.numba.cpu import (
    amx,
    memory,
    operands,
    tiles,
)
from speechbrain_ligru_fast.backends.numba.cpu import arguments as arg
from speechbrain_ligru_fast.backends.numba.cpu.tiles import (
    SMALL_TILE_ROWS,
    TILE_ROWS,
    TILE_VECTORS,
)
from speechbrain_ligru_fast.backends.numba.cpu.vectors import VECTOR_BYTES


@njit
def rows_of_a_tile(element, left):
    """Rows of the next tile when so many are left."""
    if operands.tiled(element):
        return amx.TILE_ROWS
    return TILE_ROWS if left >= TILE_ROWS else SMALL_TILE_ROWS


@njit
def padded_row_count(element, p):
    """Rows rounded up to whole tiles, as ``padded_rows``."""
    tile = rows_of_a_tile(element, 0)
    return -(-p[arg.ROWS] // tile) * tile


@njit
def place(element, vector, row, row_bytes):
    """Where an operand buffer has a row's vector of units."""
    halved = operands.narrow(element)
    return (
        (vector >> halved) * row_bytes
        + row * VECTOR_BYTES
        + (vector & halved) * (VECTOR_BYTES // 2)
    )


@njit
def multiply(element, weights, operand, row, rows, out, groups, stride):
    """One tile: weights x rows [row, row + rows) of the operand."""
    at = operand + row * VECTOR_BYTES
    if operands.tiled(element):
        amx.gemm_tile(element, weights, at, out, groups, stride)
    elif rows == TILE_ROWS:
        tiles.gemm_tile(element, weights, at, out, groups, stride)
    else:
        tiles.gemm_small_tile(element, weights, at, out, groups, stride)


@njit
def clear_padding(real, p, product, vector, rows, lanes):
    """Zeros in the lanes of a product that stand for no unit.

    Their weights are 0, which times an infinite state is NaN, and the next
    step would multiply every unit with it.
    """
    units = p[arg.TRUE_HIDDEN] - vector * lanes
    if units < lanes:
        for r in range(rows):
            memory.keep_lanes(real, product + r * VECTOR_BYTES, units)


@njit
def pack_forward(real, p, panel, depth, lanes, size):
    """Interleaves a panel's candidate and gate weights, k outermost."""
    hidden = p[arg.HIDDEN]
    stride = TILE_VECTORS * VECTOR_BYTES
    target = p[arg.PACKED] + panel * depth * stride
    for gate in range(2):
        source = p[arg.U] + (gate * hidden + panel * lanes) * depth * size
        for k in range(0, depth, lanes):
            tiles.transpose_block(
                real,
                source + k * size,
                depth * size,
                target + k * stride + gate * VECTOR_BYTES,
                stride,
            )


@njit
def pack_backward(real, p, panel, depth, lanes, size):
    """Copies a panel's columns of U, gate row outermost."""
    hidden = p[arg.HIDDEN]
    vectors = hidden // lanes
    stride = TILE_VECTORS * VECTOR_BYTES
    target = p[arg.PACKED] + panel * depth * stride
    for v in range(TILE_VECTORS):
        column = panel * TILE_VECTORS + v
        for k in range(depth):
            at = target + k * stride + v * VECTOR_BYTES
            if column < vectors:
                memory.copy_vector(
                    real,
                    at,
                    p[arg.U] + (k * hidden + column * lanes) * size,
                )
            else:
                memory.zero_vector(real, at)
