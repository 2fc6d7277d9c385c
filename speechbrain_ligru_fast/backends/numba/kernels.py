"""The scan's loops over time, run by every thread of a team.

A *panel* is the set of units whose weights a tile holds: one vector of units
(both gates) in the forward, two vectors in the backward. Each thread owns a
range of panels for the whole sequence: it packs their weights once, keeps
their state, and only the operand of the next product is shared, through two
buffers and one barrier a step (two with LayerNorm, whose sums cross panels).

The operand buffers are laid out [group of lanes k][row][lane], so that a
vector of new states is stored in one piece and a tile reads its scalars at
constant offsets. Where a CPU has a matrix unit, products of bfloat16 read
words of two k each instead (operands.py): the same layouts, half as deep.
"""

import hashlib
import logging
import os
from pathlib import Path

import numpy as np
from numba import carray, cfunc, njit, types
from numba.extending import overload

from speechbrain_ligru_fast.backends.numba import amx, operands, simd
from speechbrain_ligru_fast.backends.numba.simd import (
    SMALL_TILE_ROWS,
    TILE_ROWS,
    TILE_VECTORS,
    VECTOR_BYTES,
)

logger = logging.getLogger(__name__)

# Positions in the table of int64 that a kernel gets. Addresses first; 0
# stands for an absent tensor.
ARGUMENTS = (
    "w h0 mask lengths ln_weight ln_bias output gates normed rstd u "
    "grad previous dgates dprojected dh0 "
    "packed operand state scratch sums table "
    "barrier rank_function size_function tiles "
    "batch steps hidden true_hidden directions code layernorm save eps"
).split()
_AT = {name: i for i, name in enumerate(ARGUMENTS)}

W, H0, MASK, LENGTHS = (_AT[n] for n in ("w", "h0", "mask", "lengths"))
LN_WEIGHT, LN_BIAS = _AT["ln_weight"], _AT["ln_bias"]
OUTPUT, GATES, NORMED, RSTD, U = (
    _AT[n] for n in ("output", "gates", "normed", "rstd", "u")
)
GRAD, PREVIOUS = _AT["grad"], _AT["previous"]
DGATES, DPROJECTED, DH0 = _AT["dgates"], _AT["dprojected"], _AT["dh0"]
PACKED, OPERAND, STATE, SCRATCH, SUMS, TABLE = (
    _AT[n] for n in ("packed", "operand", "state", "scratch", "sums", "table")
)
BARRIER, TILES = _AT["barrier"], _AT["tiles"]
RANK, SIZE = _AT["rank_function"], _AT["size_function"]
BATCH, STEPS, HIDDEN, TRUE_HIDDEN = (
    _AT[n] for n in ("batch", "steps", "hidden", "true_hidden")
)
DIRECTIONS, CODE = _AT["directions"], _AT["code"]
LAYERNORM, SAVE, EPS = _AT["layernorm"], _AT["save"], _AT["eps"]

# What a thread's scratch holds: a tile of products, a sink for results that
# nobody asked for, and the set-up of the matrix unit that the thread had.
_SINK = TILE_VECTORS * max(TILE_ROWS, amx.TILE_ROWS) * VECTOR_BYTES
_KEPT = _SINK + 4 * VECTOR_BYTES
SCRATCH_BYTES = _KEPT + amx.CONFIG_BYTES
# A row in a thread's table of addresses: four int64.
ROW_BYTES = 32
# Spins before a waiting thread offers its core to others.
_SPINS = 4096

if os.name == "posix":
    _yield_core = types.ExternalFunction("sched_yield", types.intc())
else:

    @njit
    def _yield_core():
        return 0


def padded_rows(rows, words):
    """Rows rounded up to whole tiles."""
    tile = amx.TILE_ROWS if words else SMALL_TILE_ROWS
    return -(-rows // tile) * tile


def padded_hidden(hidden, itemsize, words):
    """Hidden units rounded up to whole vectors, of words or of numbers."""
    lanes = VECTOR_BYTES // itemsize * (2 if words else 1)
    return -(-hidden // lanes) * lanes


def backward_panels(hidden, itemsize):
    """Panels of ``TILE_VECTORS`` vectors of units, the last may be partial."""
    vectors = hidden * itemsize // VECTOR_BYTES
    return -(-vectors // TILE_VECTORS)


@njit
def _wait_for_all(counter, threads, phase):
    """A barrier: returns once every thread has come here ``phase`` times."""
    simd.atomic_increment(counter)
    target = threads * phase
    spins = 0
    while simd.atomic_read(counter) < target:
        simd.spin_hint()
        spins += 1
        if spins == _SPINS:
            spins = 0
            _yield_core()


@njit
def _rank_and_size(p):
    if p[RANK] == 0:
        return 0, 1
    return simd.call_int(p[RANK]), simd.call_int(p[SIZE])


@njit
def _rows_of_a_tile(element, left):
    """Rows of the next tile when so many are left."""
    if operands.narrow(element):
        return amx.TILE_ROWS
    return TILE_ROWS if left >= TILE_ROWS else SMALL_TILE_ROWS


@njit
def _place(element, vector, row, row_bytes):
    """Where an operand buffer has a row's vector of units."""
    halved = operands.narrow(element)
    return (
        (vector >> halved) * row_bytes
        + row * VECTOR_BYTES
        + (vector & halved) * (VECTOR_BYTES // 2)
    )


def _multiply(real, element, weights, operand, row, rows, out, groups, stride):
    """One tile: weights x rows [row, row + rows) of the operand."""
    raise NotImplementedError  # compiled code has one of those below


@overload(_multiply)
def _choose_multiply(
    real, element, weights, operand, row, rows, out, groups, stride
):
    def numbers(
        real, element, weights, operand, row, rows, out, groups, stride
    ):
        at = operand + row * VECTOR_BYTES
        if rows == TILE_ROWS:
            simd.gemm_tile(real, weights, at, out, groups, stride)
        else:
            simd.gemm_small_tile(real, weights, at, out, groups, stride)

    def words(real, element, weights, operand, row, rows, out, groups, stride):
        at = operand + row * VECTOR_BYTES
        amx.gemm_tile(weights, at, out, groups, stride)

    return words if operands.is_word(element) else numbers


@njit
def _pack_forward(real, p, panel, depth, lanes, size):
    """Interleaves a panel's candidate and gate weights, k outermost."""
    hidden = p[HIDDEN]
    stride = TILE_VECTORS * VECTOR_BYTES
    target = p[PACKED] + panel * depth * stride
    for gate in range(2):
        source = p[U] + (gate * hidden + panel * lanes) * depth * size
        for k in range(0, depth, lanes):
            simd.transpose_block(
                real,
                source + k * size,
                depth * size,
                target + k * stride + gate * VECTOR_BYTES,
                stride,
            )


@njit
def _pack_backward(real, p, panel, depth, lanes, size):
    """Copies a panel's columns of U, gate row outermost."""
    hidden = p[HIDDEN]
    vectors = hidden // lanes
    stride = TILE_VECTORS * VECTOR_BYTES
    target = p[PACKED] + panel * depth * stride
    for v in range(TILE_VECTORS):
        column = panel * TILE_VECTORS + v
        for k in range(depth):
            at = target + k * stride + v * VECTOR_BYTES
            if column < vectors:
                simd.copy_vector(
                    real,
                    at,
                    p[U] + (k * hidden + column * lanes) * size,
                )
            else:
                simd.zero_vector(real, at)


@njit
def _frame(p, direction, utterance, step):
    """The frame that a row reads at a step, or -1 past its end."""
    length = p[STEPS]
    if p[LENGTHS] != 0:
        length = simd.load_int(p[LENGTHS] + utterance * 8)
    if step >= length:
        return -1
    if direction == 0:
        return step
    return length - 1 - step


@njit
def _mean_sums(kind, p, threads, row_bytes, row, size):
    """A row's two sums, over threads and lanes, divided by their count.

    ``kind`` is a number of the sums' type, of ``size`` bytes.
    """
    count = 2 * p[TRUE_HIDDEN]
    first = second = kind * 0
    for thread in range(threads):
        at = p[SUMS] + 2 * (thread * row_bytes + row * VECTOR_BYTES)
        for lane in range(0, VECTOR_BYTES, size):
            first += simd.load_real(kind, at + lane)
            second += simd.load_real(kind, at + VECTOR_BYTES + lane)
    return kind + first / count, kind + second / count


@njit
def _locate_inputs(p, table, step, size):
    """Fills a thread's table of row addresses for a step of the forward.

    Per row: its input projection (0 past its end), its output, its saved
    gates and its saved normalised products.
    """
    batch, steps, hidden = p[BATCH], p[STEPS], p[HIDDEN]
    directions = p[DIRECTIONS]
    for direction in range(directions):
        for utterance in range(batch):
            row = direction * batch + utterance
            at = table + row * ROW_BYTES
            frame = _frame(p, direction, utterance, step)
            if frame < 0:
                simd.store_int(at, 0)
                continue
            cell = utterance * steps + frame
            saved = (row * steps + frame) * 2 * hidden * size
            simd.store_int(at, p[W] + cell * 2 * hidden * size)
            simd.store_int(
                at + 8,
                p[OUTPUT] + (cell * directions + direction) * hidden * size,
            )
            simd.store_int(at + 16, p[GATES] + saved)
            simd.store_int(at + 24, p[NORMED] + saved)


@njit
def _step_unit(
    real, element, code, save, mask, w, row, state, operand, tile, half, sink,
    unit, other,
):  # fmt: skip
    """Applies the gate equations to one vector of units of one row.

    ``row`` is the row's place in the table, ``unit`` the vector's offset in
    bytes and ``other`` the distance from candidate to gate.
    """
    if w != 0:
        ga = gz = sink
        if save != 0:
            ga = simd.load_int(row + 16) + unit
            gz = ga + other
        simd.forward_point(
            real,
            code,
            tile,
            tile + half,
            w + unit,
            w + unit + other,
            state,
            mask + unit,
            simd.load_int(row + 8) + unit,
            state,
            ga,
            gz,
        )
    operands.store(real, element, operand, state)


@njit
def _all_rows(element, p):
    """Rows rounded up to whole tiles, as ``padded_rows``."""
    rows = p[BATCH] * p[DIRECTIONS]
    tile = _rows_of_a_tile(element, 0)
    return -(-rows // tile) * tile


@njit
def _forward(real, element, p, size):
    rank, threads = _rank_and_size(p)
    lanes = VECTOR_BYTES // size
    hidden, rows = p[HIDDEN], p[BATCH] * p[DIRECTIONS]
    vectors = hidden // lanes
    halved = operands.narrow(element)
    depth, groups = hidden >> halved, vectors >> halved
    all_rows = _all_rows(element, p)
    row_bytes = all_rows * VECTOR_BYTES
    buffer_bytes = groups * row_bytes
    panel_bytes = depth * TILE_VECTORS * VECTOR_BYTES
    other = hidden * size
    code, save, layernorm = p[CODE], p[SAVE], p[LAYERNORM]
    packed, operand, mask = p[PACKED], p[OPERAND], p[MASK]
    first = vectors * rank // threads
    last = vectors * (rank + 1) // threads
    scratch = p[SCRATCH] + rank * SCRATCH_BYTES
    sink = scratch + _SINK
    sums = p[SUMS] + rank * 2 * row_bytes
    table = p[TABLE] + rank * rows * ROW_BYTES
    # With LayerNorm, the products wait in a buffer behind the operands.
    waiting = operand + 2 * buffer_bytes

    for q in range(first, last):
        _pack_forward(real, p, q, depth, lanes, size)
        for r in range(all_rows):
            state = p[STATE] + q * row_bytes + r * VECTOR_BYTES
            at = operand + _place(element, q, r, row_bytes)
            operands.zero(real, element, at + buffer_bytes)
            if r < rows and p[H0] != 0:
                source = p[H0] + (r * hidden + q * lanes) * size
                simd.copy_vector(real, state, source)
            else:
                simd.zero_vector(real, state)
            operands.store(real, element, at, state)
    amx.begin(element, p[TILES], scratch + _KEPT)
    phase = 1
    _wait_for_all(p[BARRIER], threads, phase)

    for step in range(p[STEPS]):
        src = operand + (step & 1) * buffer_bytes
        dst = operand + ((step + 1) & 1) * buffer_bytes
        _locate_inputs(p, table, step, size)
        if layernorm != 0:
            for r in range(2 * all_rows):
                simd.zero_vector(real, sums + r * VECTOR_BYTES)
        for i in range(first, last):
            # Turning round at the ends keeps what the cache holds in use.
            q = i if step & 1 == 0 else first + last - 1 - i
            unit = q * VECTOR_BYTES
            row = 0
            while row < all_rows:
                block = _rows_of_a_tile(element, all_rows - row)
                half = block * VECTOR_BYTES
                used = min(block, rows - row)
                tile = scratch
                if layernorm != 0:
                    tile = waiting + 2 * (q * row_bytes + row * VECTOR_BYTES)
                else:
                    # The product takes as long as memory needs to answer.
                    for r in range(row, row + used):
                        w = simd.load_int(table + r * ROW_BYTES)
                        simd.prefetch(w + unit)
                        simd.prefetch(w + unit + other)
                _multiply(
                    real, element, packed + q * panel_bytes, src, row, block,
                    tile, groups, row_bytes,
                )  # fmt: skip
                for j in range(used):
                    at = tile + j * VECTOR_BYTES
                    r = row + j
                    if layernorm != 0:
                        moments = sums + 2 * r * VECTOR_BYTES
                        simd.moments_point(
                            real,
                            at,
                            at + half,
                            moments,
                            moments + VECTOR_BYTES,
                        )
                        continue
                    state = p[STATE] + q * row_bytes + r * VECTOR_BYTES
                    entry = table + r * ROW_BYTES
                    _step_unit(
                        real, element, code, save, mask + r * other,
                        simd.load_int(entry), entry, state,
                        dst + _place(element, q, r, row_bytes), at, half,
                        sink, unit, other,
                    )  # fmt: skip
                row += block
        phase += 1
        _wait_for_all(p[BARRIER], threads, phase)
        if layernorm != 0:
            _normalise_step(
                real, element, p, step, first, last, threads, dst, waiting,
                sink, table, size,
            )  # fmt: skip
            phase += 1
            _wait_for_all(p[BARRIER], threads, phase)
    amx.end(element, scratch + _KEPT)


# A variance and an epsilon of 0 give infinity, not an error.
@njit(error_model="numpy")
def _normalise_step(
    real, element, p, step, first, last, threads, dst, waiting, sink, table,
    size,
):  # fmt: skip
    """SLiGRU's second half of a step: LayerNorm, then the gates."""
    hidden, steps, batch = p[HIDDEN], p[STEPS], p[BATCH]
    rows = batch * p[DIRECTIONS]
    all_rows = _all_rows(element, p)
    row_bytes = all_rows * VECTOR_BYTES
    other = hidden * size
    code, save = p[CODE], p[SAVE]
    whole = _rows_of_a_tile(element, TILE_ROWS)
    eps = simd.load_real(real, p[EPS])
    for r in range(rows):
        row = r // whole * whole
        block = _rows_of_a_tile(element, all_rows - row)
        half = block * VECTOR_BYTES
        entry = table + r * ROW_BYTES
        w = simd.load_int(entry)
        mean = rstd = 0.0
        if w != 0:
            # In float64, for the difference of two large numbers; words
            # come with any mean.
            mean, square = _mean_sums(
                np.float64(0), p, threads, row_bytes, r, 8
            )
            variance = max(square - mean * mean, 0.0)
            rstd = 1 / np.sqrt(variance + eps)
            if save != 0 and first == 0:
                frame = _frame(p, r // batch, r % batch, step)
                simd.store_real(
                    real, p[RSTD] + (r * steps + frame) * size, rstd
                )
        for q in range(first, last):
            unit = q * VECTOR_BYTES
            tile = (
                waiting
                + 2 * (q * row_bytes + row * VECTOR_BYTES)
                + (r - row) * VECTOR_BYTES
            )
            if w != 0:
                for gate in range(2):
                    n = sink
                    if save != 0:
                        n = simd.load_int(entry + 24) + unit + gate * other
                    simd.norm_point(
                        real,
                        mean,
                        rstd,
                        tile + gate * half,
                        p[LN_WEIGHT] + unit + gate * other,
                        p[LN_BIAS] + unit + gate * other,
                        n,
                    )
            state = p[STATE] + q * row_bytes + r * VECTOR_BYTES
            _step_unit(
                real, element, code, save, p[MASK] + r * other, w, entry,
                state, dst + _place(element, q, r, row_bytes), tile, half,
                sink, unit, other,
            )  # fmt: skip


@njit
def _locate_saved(p, table, step, size):
    """Fills a thread's table of row addresses for a step of the backward.

    Per row: its output's gradient (0 past its end), the offset of its gates
    and its previous state.
    """
    batch, steps, hidden = p[BATCH], p[STEPS], p[HIDDEN]
    directions = p[DIRECTIONS]
    for direction in range(directions):
        for utterance in range(batch):
            row = direction * batch + utterance
            at = table + row * ROW_BYTES
            frame = _frame(p, direction, utterance, step)
            if frame < 0:
                simd.store_int(at, 0)
                continue
            cell = (utterance * steps + frame) * directions + direction
            saved = (row * steps + frame) * hidden * size
            simd.store_int(at, p[GRAD] + cell * hidden * size)
            simd.store_int(at + 8, 2 * saved)
            simd.store_int(at + 16, p[PREVIOUS] + saved)


@njit
def _gate_gradients(real, element, p, unit_vector, table, dst, sums, size):
    """Gate gradients of one vector of units at one step, for all rows."""
    rows = p[BATCH] * p[DIRECTIONS]
    row_bytes = _all_rows(element, p) * VECTOR_BYTES
    other = p[HIDDEN] * size
    unit = unit_vector * VECTOR_BYTES
    carries = p[STATE] + unit_vector * row_bytes
    gate_vector = unit_vector + other // VECTOR_BYTES
    oa = dst + _place(element, unit_vector, 0, row_bytes)
    oz = dst + _place(element, gate_vector, 0, row_bytes)
    code, mask, layernorm = p[CODE], p[MASK] + unit, p[LAYERNORM]
    dgates, gates = p[DGATES] + unit, p[GATES] + unit
    weight, normed = p[LN_WEIGHT] + unit, p[NORMED] + unit
    for r in range(rows):
        at = r * VECTOR_BYTES
        entry = table + r * ROW_BYTES
        grad = simd.load_int(entry)
        if grad == 0:
            operands.zero(real, element, oa + at)
            operands.zero(real, element, oz + at)
            continue
        saved = simd.load_int(entry + 8)
        da = dgates + saved
        simd.backward_point(
            real,
            code,
            grad + unit,
            carries + at,
            gates + saved,
            gates + saved + other,
            simd.load_int(entry + 16) + unit,
            mask + r * other,
            da,
            da + other,
        )
        if layernorm == 0:
            operands.store(real, element, oa + at, da)
            operands.store(real, element, oz + at, da + other)
            continue
        for gate in range(2):
            simd.norm_sums_point(
                real,
                da + gate * other,
                weight + gate * other,
                normed + saved + gate * other,
                sums + 2 * at,
                sums + 2 * at + VECTOR_BYTES,
            )


@njit
def _norm_gradients(
    real, element, p, first, last, step, threads, table, dst, size
):
    """SLiGRU: from the gates' gradients to those of the products."""
    hidden, steps, batch = p[HIDDEN], p[STEPS], p[BATCH]
    rows = batch * p[DIRECTIONS]
    row_bytes = _all_rows(element, p) * VECTOR_BYTES
    vectors = hidden * size // VECTOR_BYTES
    dgates, dprojected = p[DGATES], p[DPROJECTED]
    weight, normed = p[LN_WEIGHT], p[NORMED]
    for r in range(rows):
        entry = table + r * ROW_BYTES
        if simd.load_int(entry) == 0:
            continue
        mean, product = _mean_sums(real, p, threads, row_bytes, r, size)
        frame = _frame(p, r // batch, r % batch, step)
        rstd = simd.load_real(real, p[RSTD] + (r * steps + frame) * size)
        saved = simd.load_int(entry + 8)
        for v in range(first, last):
            for gate in range(2):
                vector = gate * vectors + v
                unit = vector * VECTOR_BYTES
                dp = dprojected + saved + unit
                simd.norm_backward_point(
                    real,
                    rstd,
                    mean,
                    product,
                    dgates + saved + unit,
                    weight + unit,
                    normed + saved + unit,
                    dp,
                )
                at = dst + _place(element, vector, r, row_bytes)
                operands.store(real, element, at, dp)


@njit
def _prefetch_saved(p, unit_vector, row, used, table, size):
    """Asks for what the gate gradients of the next step read."""
    other = p[HIDDEN] * size
    unit = unit_vector * VECTOR_BYTES
    for r in range(row, row + used):
        entry = table + r * ROW_BYTES
        gates = p[GATES] + simd.load_int(entry + 8) + unit
        simd.prefetch(gates)
        simd.prefetch(gates + other)
        simd.prefetch(simd.load_int(entry + 16) + unit)
        simd.prefetch(simd.load_int(entry) + unit)


@njit
def _backward(real, element, p, size):
    rank, threads = _rank_and_size(p)
    lanes = VECTOR_BYTES // size
    hidden, rows = p[HIDDEN], p[BATCH] * p[DIRECTIONS]
    vectors = hidden // lanes
    panels = -(-vectors // TILE_VECTORS)
    halved = operands.narrow(element)
    depth, groups = 2 * hidden >> halved, 2 * vectors >> halved
    all_rows = _all_rows(element, p)
    row_bytes = all_rows * VECTOR_BYTES
    buffer_bytes = groups * row_bytes
    panel_bytes = depth * TILE_VECTORS * VECTOR_BYTES
    first = panels * rank // threads
    last = panels * (rank + 1) // threads
    first_vector = first * TILE_VECTORS
    last_vector = min(last * TILE_VECTORS, vectors)
    scratch = p[SCRATCH] + rank * SCRATCH_BYTES
    sums = p[SUMS] + rank * 2 * row_bytes

    for q in range(first, last):
        _pack_backward(real, p, q, depth, lanes, size)
    for v in range(first_vector, last_vector):
        for r in range(all_rows):
            at = v * row_bytes + r * VECTOR_BYTES
            simd.zero_vector(real, p[STATE] + at)
            for gate in range(2):
                at = _place(element, gate * vectors + v, r, row_bytes)
                for buffer in range(2):
                    operands.zero(
                        real, element, p[OPERAND] + buffer * buffer_bytes + at
                    )
    amx.begin(element, p[TILES], scratch + _KEPT)
    phase = 1
    _wait_for_all(p[BARRIER], threads, phase)

    table = p[TABLE] + rank * rows * ROW_BYTES
    _locate_saved(p, table, p[STEPS] - 1, size)
    for i in range(p[STEPS]):
        step = p[STEPS] - 1 - i
        dst = p[OPERAND] + (i & 1) * buffer_bytes
        if p[LAYERNORM] != 0:
            for r in range(2 * all_rows):
                simd.zero_vector(real, sums + r * VECTOR_BYTES)
        for v in range(first_vector, last_vector):
            _gate_gradients(real, element, p, v, table, dst, sums, size)
        phase += 1
        _wait_for_all(p[BARRIER], threads, phase)
        if p[LAYERNORM] != 0:
            _norm_gradients(
                real, element, p, first_vector, last_vector, step, threads,
                table, dst, size,
            )  # fmt: skip
            phase += 1
            _wait_for_all(p[BARRIER], threads, phase)
        if step > 0:
            _locate_saved(p, table, step - 1, size)
        for j in range(first, last):
            q = j if step & 1 == 0 else first + last - 1 - j
            columns = min(TILE_VECTORS, vectors - q * TILE_VECTORS)
            row = 0
            while row < all_rows:
                block = _rows_of_a_tile(element, all_rows - row)
                used = min(block, rows - row)
                for v in range(columns):
                    _prefetch_saved(
                        p, q * TILE_VECTORS + v, row, used, table, size
                    )
                _multiply(
                    real, element, p[PACKED] + q * panel_bytes, dst, row,
                    block, scratch, groups, row_bytes,
                )  # fmt: skip
                for v in range(columns):
                    carries = p[STATE] + (q * TILE_VECTORS + v) * row_bytes
                    for r in range(used):
                        # A row past its end has zero gate gradients, so
                        # its carry stays as it is.
                        simd.add_vector(
                            real,
                            carries + (row + r) * VECTOR_BYTES,
                            scratch + (v * block + r) * VECTOR_BYTES,
                        )
                row += block

    for v in range(first_vector, last_vector):
        for r in range(rows):
            simd.copy_vector(
                real,
                p[DH0] + (r * hidden + v * lanes) * size,
                p[STATE] + v * row_bytes + r * VECTOR_BYTES,
            )
    amx.end(element, scratch + _KEPT)


def _source_hash():
    """Identifies the code, for Numba's cache on disk.

    Numba looks at the file of the cached function alone; the intrinsics
    live in others.
    """
    digest = hashlib.sha256()
    for path in (__file__, amx.__file__, operands.__file__, simd.__file__):
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()


def _entry(direction, real, words, fingerprint):
    """A C function ``void f(int64 *arguments)`` around a loop.

    What the functions below enclose is a part of the key in Numba's cache on
    disk: plain values only, for a compiled function among them would give
    every process a key of its own.
    """
    size = real(0).itemsize
    element = operands.WORD if words else real
    count = len(ARGUMENTS)

    def forward(arguments):
        fingerprint  # noqa: B018
        _forward(real(0), element(0), carray(arguments, (count,)), size)

    def backward(arguments):
        fingerprint  # noqa: B018
        _backward(real(0), element(0), carray(arguments, (count,)), size)

    function = forward if direction == "forward" else backward
    signature = types.void(types.CPointer(types.int64))
    try:
        return cfunc(signature, cache=True)(function)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        logger.warning(
            "Backend numba compiles its loops anew in every process, for it "
            "found no folder to keep them in: set NUMBA_CACHE_DIR to one"
        )
        return cfunc(signature)(function)
