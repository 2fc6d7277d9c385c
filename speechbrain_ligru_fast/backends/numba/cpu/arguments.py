"""What a loop is given: one table of int64, and how much of everything."""

from speechbrain_ligru_fast.backends.numba.cpu import amx
from speechbrain_ligru_fast.backends.numba.cpu.operands import TILE
from speechbrain_ligru_fast.backends.numba.cpu.tiles import (
    SMALL_TILE_ROWS,
    TILE_ROWS,
    TILE_VECTORS,
)
from speechbrain_ligru_fast.backends.numba.cpu.vectors import VECTOR_BYTES

# Positions in the table of int64 that a kernel gets. Addresses first; 0
# stands for an absent tensor.
ARGUMENTS = (
    "w h0 mask lengths order active ln_weight ln_bias "
    "output gates normed rstd u "
    "grad previous dgates dprojected joined dh0 "
    "packed operand state scratch sums table "
    "barrier shared_barrier rank_function size_function tiles "
    "shares pace rows batch steps hidden true_hidden directions code "
    "layernorm save eps"
).split()
_AT = {name: i for i, name in enumerate(ARGUMENTS)}
W, H0, MASK, LENGTHS = (_AT[n] for n in ("w", "h0", "mask", "lengths"))
ORDER, ACTIVE = _AT["order"], _AT["active"]
LN_WEIGHT, LN_BIAS = _AT["ln_weight"], _AT["ln_bias"]
OUTPUT, GATES, NORMED, RSTD, U = (
    _AT[n] for n in ("output", "gates", "normed", "rstd", "u")
)
GRAD, PREVIOUS = _AT["grad"], _AT["previous"]
DGATES, DPROJECTED, DH0 = _AT["dgates"], _AT["dprojected"], _AT["dh0"]
JOINED = _AT["joined"]
PACKED, OPERAND, STATE, SCRATCH, SUMS, TABLE = (
    _AT[n] for n in ("packed", "operand", "state", "scratch", "sums", "table")
)
BARRIER, TILES = _AT["barrier"], _AT["tiles"]
SHARED_BARRIER = _AT["shared_barrier"]
RANK, SIZE = _AT["rank_function"], _AT["size_function"]
SHARES, PACE, ROWS = _AT["shares"], _AT["pace"], _AT["rows"]
BATCH, STEPS, HIDDEN, TRUE_HIDDEN = (
    _AT[n] for n in ("batch", "steps", "hidden", "true_hidden")
)
DIRECTIONS, CODE = _AT["directions"], _AT["code"]
LAYERNORM, SAVE, EPS = _AT["layernorm"], _AT["save"], _AT["eps"]
# What a thread's scratch holds: a tile of products, a sink for results that
# nobody asked for, and the set-up of the matrix unit that the thread had.
SINK = TILE_VECTORS * max(TILE_ROWS, amx.TILE_ROWS) * VECTOR_BYTES
KEPT = SINK + 4 * VECTOR_BYTES
SCRATCH_BYTES = KEPT + amx.CONFIG_BYTES
# A row in a thread's table of where it reads and writes: six int64.
ROW_BYTES = 48


def padded_rows(rows, words):
    """Rows rounded up to whole tiles."""
    tile = amx.TILE_ROWS if words == TILE else SMALL_TILE_ROWS
    return -(-rows // tile) * tile


def padded_hidden(hidden, itemsize, words):
    """Hidden units rounded up to whole vectors, of words or of numbers."""
    lanes = VECTOR_BYTES // itemsize * (2 if words else 1)
    return -(-hidden // lanes) * lanes


def backward_panels(hidden, itemsize):
    """Panels of ``TILE_VECTORS`` vectors of units, the last may be partial."""
    vectors = hidden * itemsize // VECTOR_BYTES
    return -(-vectors // TILE_VECTORS)
