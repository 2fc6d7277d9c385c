"""The scan's loops over time, run by every thread of a team.

A *panel* is the set of units whose weights a tile holds: one vector of units
(both gates) in the forward, two vectors in the backward. Each thread owns a
range of panels for the whole sequence: it packs their weights once, keeps
their state, and only the operand of the next product is shared, through two
buffers and one barrier a step (two with LayerNorm, whose sums cross panels).

The operand buffers are laid out [group of lanes k][row][lane], so that a
vector of new states is stored in one piece and a tile reads its scalars at
constant offsets.
"""

import hashlib
import os
from pathlib import Path

import numpy as np
from numba import carray, cfunc, njit, types

from speechbrain_ligru_fast.backends.numba import simd
from speechbrain_ligru_fast.backends.numba.simd import (
    SMALL_TILE_ROWS,
    TILE_ROWS,
    TILE_VECTORS,
    VECTOR_BYTES,
)

# Positions in the table of int64 that a kernel gets. Addresses first; 0
# stands for an absent tensor.
ARGUMENTS = (
    "w h0 mask lengths ln_weight ln_bias output gates normed rstd u "
    "grad previous dgates dprojected dh0 "
    "packed operand state scratch sums "
    "barrier rank_function size_function "
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
PACKED, OPERAND, STATE, SCRATCH, SUMS = (
    _AT[n] for n in ("packed", "operand", "state", "scratch", "sums")
)
BARRIER = _AT["barrier"]
RANK, SIZE = _AT["rank_function"], _AT["size_function"]
BATCH, STEPS, HIDDEN, TRUE_HIDDEN = (
    _AT[n] for n in ("batch", "steps", "hidden", "true_hidden")
)
DIRECTIONS, CODE = _AT["directions"], _AT["code"]
LAYERNORM, SAVE, EPS = _AT["layernorm"], _AT["save"], _AT["eps"]

# What a thread's scratch holds: a tile of products and a sink for results
# that nobody asked for.
SCRATCH_BYTES = (TILE_VECTORS * TILE_ROWS + 4) * VECTOR_BYTES
_SINK = TILE_VECTORS * TILE_ROWS * VECTOR_BYTES
# Spins before a waiting thread offers its core to others.
_SPINS = 4096

if os.name == "posix":
    _yield_core = types.ExternalFunction("sched_yield", types.intc())
else:

    @njit
    def _yield_core():
        return 0


def padded_rows(rows):
    """Rows rounded up to whole tiles."""
    return -(-rows // SMALL_TILE_ROWS) * SMALL_TILE_ROWS


def padded_hidden(hidden, itemsize):
    """Hidden units rounded up to whole vectors."""
    lanes = VECTOR_BYTES // itemsize
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
def _multiply(real, weights, operand, row, rows, out, groups, row_bytes):
    """One tile: weights x rows [row, row + rows) of the operand."""
    at = operand + row * VECTOR_BYTES
    if rows == TILE_ROWS:
        simd.gemm_tile(real, weights, at, out, groups, row_bytes)
    else:
        simd.gemm_small_tile(real, weights, at, out, groups, row_bytes)


@njit
def _pack_forward(real, p, panel, lanes, size):
    """Interleaves a panel's candidate and gate weights, k outermost."""
    hidden = p[HIDDEN]
    target = p[PACKED] + panel * hidden * TILE_VECTORS * VECTOR_BYTES
    for gate in range(2):
        for lane in range(lanes):
            source = p[U] + (
                (gate * hidden + panel * lanes + lane) * hidden * size
            )
            at = target + gate * VECTOR_BYTES + lane * size
            for k in range(hidden):
                simd.store_real(
                    real,
                    at + k * TILE_VECTORS * VECTOR_BYTES,
                    simd.load_real(real, source + k * size),
                )


@njit
def _pack_backward(real, p, panel, lanes, size):
    """Copies a panel's columns of U, gate row outermost."""
    hidden = p[HIDDEN]
    vectors = hidden // lanes
    stride = TILE_VECTORS * VECTOR_BYTES
    target = p[PACKED] + panel * 2 * hidden * stride
    for v in range(TILE_VECTORS):
        column = panel * TILE_VECTORS + v
        for k in range(2 * hidden):
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
def _frame(p, row, step):
    """The frame that a row reads at a step, or -1 past its end."""
    length = p[STEPS]
    if p[LENGTHS] != 0:
        length = simd.load_int(p[LENGTHS] + (row % p[BATCH]) * 8)
    if step >= length:
        return -1
    if row < p[BATCH]:
        return step
    return length - 1 - step


@njit
def _reduce(real, sums, threads, per_thread, index, lanes, size):
    """Adds up one row's partial sums over threads and lanes."""
    total = real * 0
    for thread in range(threads):
        at = sums + thread * per_thread + index * VECTOR_BYTES
        for lane in range(lanes):
            total += simd.load_real(real, at + lane * size)
    return total


@njit
def _step_unit(real, p, q, row, frame, tile, half, dst, sink, lanes, size):
    """Applies the gate equations to one vector of units of one row."""
    hidden = p[HIDDEN]
    batch, steps = p[BATCH], p[STEPS]
    row_bytes = padded_rows_of(p) * VECTOR_BYTES
    at = q * row_bytes + row * VECTOR_BYTES
    state = p[STATE] + at
    if frame < 0:
        simd.copy_vector(real, dst + at, state)
        return
    unit = q * lanes
    cell = ((row % batch) * steps + frame) * hidden
    w = p[W] + (2 * cell + unit) * size
    out = (
        p[OUTPUT]
        + (p[DIRECTIONS] * cell + (row // batch) * hidden + unit) * size
    )
    ga = gz = sink
    if p[SAVE] != 0:
        ga = p[GATES] + ((row * steps + frame) * 2 * hidden + unit) * size
        gz = ga + hidden * size
    simd.forward_point(
        real,
        p[CODE],
        tile,
        tile + half,
        w,
        w + hidden * size,
        state,
        p[MASK] + (row * hidden + unit) * size,
        out,
        state,
        ga,
        gz,
    )
    simd.copy_vector(real, dst + at, state)


@njit
def padded_rows_of(p):
    rows = p[BATCH] * p[DIRECTIONS]
    return -(-rows // SMALL_TILE_ROWS) * SMALL_TILE_ROWS


@njit
def _prefetch_inputs(p, q, row, block, step, lanes, size):
    """Asks for the input projections of a tile before its product."""
    hidden = p[HIDDEN]
    rows = p[BATCH] * p[DIRECTIONS]
    for r in range(row, min(row + block, rows)):
        frame = _frame(p, r, step)
        if frame >= 0:
            cell = ((r % p[BATCH]) * p[STEPS] + frame) * hidden
            at = p[W] + (2 * cell + q * lanes) * size
            simd.prefetch(at)
            simd.prefetch(at + hidden * size)


@njit
def _forward(real, p, size):
    rank, threads = _rank_and_size(p)
    lanes = VECTOR_BYTES // size
    hidden, rows = p[HIDDEN], p[BATCH] * p[DIRECTIONS]
    vectors = hidden // lanes
    all_rows = padded_rows_of(p)
    row_bytes = all_rows * VECTOR_BYTES
    buffer_bytes = vectors * row_bytes
    panel_bytes = hidden * TILE_VECTORS * VECTOR_BYTES
    first = vectors * rank // threads
    last = vectors * (rank + 1) // threads
    scratch = p[SCRATCH] + rank * SCRATCH_BYTES
    sink = scratch + _SINK
    sums = p[SUMS] + rank * row_bytes
    # With LayerNorm, the products wait in a buffer behind the operands.
    waiting = p[OPERAND] + 2 * buffer_bytes

    for q in range(first, last):
        _pack_forward(real, p, q, lanes, size)
        for r in range(all_rows):
            at = q * row_bytes + r * VECTOR_BYTES
            simd.zero_vector(real, p[OPERAND] + buffer_bytes + at)
            if r < rows and p[H0] != 0:
                source = p[H0] + (r * hidden + q * lanes) * size
                simd.copy_vector(real, p[STATE] + at, source)
            else:
                simd.zero_vector(real, p[STATE] + at)
            simd.copy_vector(real, p[OPERAND] + at, p[STATE] + at)
    phase = 1
    _wait_for_all(p[BARRIER], threads, phase)

    for step in range(p[STEPS]):
        src = p[OPERAND] + (step & 1) * buffer_bytes
        dst = p[OPERAND] + ((step + 1) & 1) * buffer_bytes
        if p[LAYERNORM] != 0:
            for r in range(all_rows):
                simd.zero_vector(real, sums + r * VECTOR_BYTES)
        for i in range(first, last):
            # Turning round at the ends keeps what the cache holds in use.
            q = i if step & 1 == 0 else first + last - 1 - i
            weights = p[PACKED] + q * panel_bytes
            row = 0
            while row < all_rows:
                block = TILE_ROWS
                if all_rows - row < TILE_ROWS:
                    block = SMALL_TILE_ROWS
                half = block * VECTOR_BYTES
                if p[LAYERNORM] == 0:
                    _prefetch_inputs(p, q, row, block, step, lanes, size)
                    tile = scratch
                else:
                    tile = waiting + 2 * (q * row_bytes + row * VECTOR_BYTES)
                _multiply(
                    real, weights, src, row, block, tile, vectors, row_bytes
                )
                for j in range(min(block, rows - row)):
                    at = tile + j * VECTOR_BYTES
                    if p[LAYERNORM] == 0:
                        frame = _frame(p, row + j, step)
                        _step_unit(
                            real, p, q, row + j, frame, at, half, dst, sink,
                            lanes, size,
                        )  # fmt: skip
                    else:
                        simd.square_point(
                            real, at, at + half, sums + (row + j) * VECTOR_BYTES
                        )
                row += block
        phase += 1
        _wait_for_all(p[BARRIER], threads, phase)
        if p[LAYERNORM] == 0:
            continue
        _normalise_step(
            real, p, step, first, last, threads, dst, waiting, sink, lanes,
            size,
        )  # fmt: skip
        phase += 1
        _wait_for_all(p[BARRIER], threads, phase)


@njit
def _normalise_step(
    real, p, step, first, last, threads, dst, waiting, sink, lanes, size
):
    """SLiGRU's second half of a step: LayerNorm, then the gates."""
    hidden, steps = p[HIDDEN], p[STEPS]
    rows = p[BATCH] * p[DIRECTIONS]
    all_rows = padded_rows_of(p)
    row_bytes = all_rows * VECTOR_BYTES
    eps = simd.load_real(real, p[EPS])
    row = 0
    while row < all_rows:
        block = TILE_ROWS if all_rows - row >= TILE_ROWS else SMALL_TILE_ROWS
        half = block * VECTOR_BYTES
        for j in range(min(block, rows - row)):
            r = row + j
            frame = _frame(p, r, step)
            total = _reduce(real, p[SUMS], threads, row_bytes, r, lanes, size)
            # U's columns are centred, so that the products' mean is 0.
            rstd = 1 / np.sqrt(total / (2 * p[TRUE_HIDDEN]) + eps)
            rstd = real * 0 + rstd
            if frame >= 0 and p[SAVE] != 0 and first == 0:
                simd.store_real(
                    real, p[RSTD] + (r * steps + frame) * size, rstd
                )
            for q in range(first, last):
                tile = (
                    waiting
                    + 2 * (q * row_bytes + row * VECTOR_BYTES)
                    + j * VECTOR_BYTES
                )
                if frame >= 0:
                    for gate in range(2):
                        unit = (gate * hidden + q * lanes) * size
                        n = sink
                        if p[SAVE] != 0:
                            n = (
                                p[NORMED]
                                + unit
                                + ((r * steps + frame) * 2 * hidden * size)
                            )
                        simd.norm_point(
                            real,
                            rstd,
                            tile + gate * half,
                            p[LN_WEIGHT] + unit,
                            p[LN_BIAS] + unit,
                            n,
                        )
                _step_unit(
                    real, p, q, r, frame, tile, half, dst, sink, lanes, size
                )
        row += block


@njit
def _gate_gradients(real, p, unit_vector, step, dst, sums, lanes, size):
    """Gate gradients of one vector of units at one step, for all rows."""
    hidden, steps, batch = p[HIDDEN], p[STEPS], p[BATCH]
    rows = batch * p[DIRECTIONS]
    row_bytes = padded_rows_of(p) * VECTOR_BYTES
    vectors = hidden // lanes
    unit = unit_vector * lanes
    for r in range(rows):
        frame = _frame(p, r, step)
        carry = p[STATE] + unit_vector * row_bytes + r * VECTOR_BYTES
        oa = dst + unit_vector * row_bytes + r * VECTOR_BYTES
        oz = oa + vectors * row_bytes
        if frame < 0:
            simd.zero_vector(real, oa)
            simd.zero_vector(real, oz)
            continue
        cell = r * steps + frame
        out = ((r % batch) * steps + frame) * p[DIRECTIONS] + r // batch
        gates = (cell * 2 * hidden + unit) * size
        da = p[DGATES] + gates
        dz = da + hidden * size
        simd.backward_point(
            real,
            p[CODE],
            p[GRAD] + (out * hidden + unit) * size,
            carry,
            p[GATES] + gates,
            p[GATES] + gates + hidden * size,
            p[PREVIOUS] + (cell * hidden + unit) * size,
            p[MASK] + (r * hidden + unit) * size,
            da,
            dz,
        )
        if p[LAYERNORM] == 0:
            simd.copy_vector(real, oa, da)
            simd.copy_vector(real, oz, dz)
        else:
            for gate in range(2):
                offset = gate * hidden * size
                simd.norm_sums_point(
                    real,
                    da + offset,
                    p[LN_WEIGHT] + unit * size + offset,
                    p[NORMED] + gates + offset,
                    sums + 2 * r * VECTOR_BYTES,
                    sums + (2 * r + 1) * VECTOR_BYTES,
                )


@njit
def _norm_gradients(real, p, first, last, step, threads, dst, lanes, size):
    """SLiGRU: from the gates' gradients to those of the products."""
    hidden, steps = p[HIDDEN], p[STEPS]
    rows = p[BATCH] * p[DIRECTIONS]
    row_bytes = padded_rows_of(p) * VECTOR_BYTES
    vectors = hidden // lanes
    count = 2 * p[TRUE_HIDDEN]
    for r in range(rows):
        frame = _frame(p, r, step)
        if frame < 0:
            continue
        mean = _reduce(
            real, p[SUMS], threads, 2 * row_bytes, 2 * r, lanes, size
        )
        product = _reduce(
            real, p[SUMS], threads, 2 * row_bytes, 2 * r + 1, lanes, size
        )
        mean = real * 0 + mean / count
        product = real * 0 + product / count
        cell = r * steps + frame
        rstd = simd.load_real(real, p[RSTD] + cell * size)
        for v in range(first, last):
            for gate in range(2):
                unit = (gate * hidden + v * lanes) * size
                at = cell * 2 * hidden * size + unit
                simd.norm_backward_point(
                    real,
                    rstd,
                    mean,
                    product,
                    p[DGATES] + at,
                    p[LN_WEIGHT] + unit,
                    p[NORMED] + at,
                    p[DPROJECTED] + at,
                    dst + (gate * vectors + v) * row_bytes + r * VECTOR_BYTES,
                )


@njit
def _prefetch_saved(p, unit_vector, row, block, step, lanes, size):
    """Asks for what the gate gradients of the next step read."""
    hidden, steps = p[HIDDEN], p[STEPS]
    rows = p[BATCH] * p[DIRECTIONS]
    for r in range(row, min(row + block, rows)):
        frame = _frame(p, r, step)
        if frame >= 0:
            cell = r * steps + frame
            unit = unit_vector * lanes
            out = ((r % p[BATCH]) * steps + frame) * p[DIRECTIONS]
            out += r // p[BATCH]
            gates = p[GATES] + (cell * 2 * hidden + unit) * size
            simd.prefetch(gates)
            simd.prefetch(gates + hidden * size)
            simd.prefetch(p[PREVIOUS] + (cell * hidden + unit) * size)
            simd.prefetch(p[GRAD] + (out * hidden + unit) * size)


@njit
def _backward(real, p, size):
    rank, threads = _rank_and_size(p)
    lanes = VECTOR_BYTES // size
    hidden, rows = p[HIDDEN], p[BATCH] * p[DIRECTIONS]
    vectors = hidden // lanes
    panels = -(-vectors // TILE_VECTORS)
    all_rows = padded_rows_of(p)
    row_bytes = all_rows * VECTOR_BYTES
    buffer_bytes = 2 * vectors * row_bytes
    panel_bytes = 2 * hidden * TILE_VECTORS * VECTOR_BYTES
    first = panels * rank // threads
    last = panels * (rank + 1) // threads
    first_vector = first * TILE_VECTORS
    last_vector = min(last * TILE_VECTORS, vectors)
    scratch = p[SCRATCH] + rank * SCRATCH_BYTES
    sums = p[SUMS] + rank * 2 * row_bytes

    for q in range(first, last):
        _pack_backward(real, p, q, lanes, size)
    for v in range(first_vector, last_vector):
        for r in range(all_rows):
            at = v * row_bytes + r * VECTOR_BYTES
            simd.zero_vector(real, p[STATE] + at)
            for copy in range(4):
                simd.zero_vector(
                    real, p[OPERAND] + copy * vectors * row_bytes + at
                )
    phase = 1
    _wait_for_all(p[BARRIER], threads, phase)

    for i in range(p[STEPS]):
        step = p[STEPS] - 1 - i
        dst = p[OPERAND] + (i & 1) * buffer_bytes
        if p[LAYERNORM] != 0:
            for r in range(2 * all_rows):
                simd.zero_vector(real, sums + r * VECTOR_BYTES)
        for v in range(first_vector, last_vector):
            _gate_gradients(real, p, v, step, dst, sums, lanes, size)
        phase += 1
        _wait_for_all(p[BARRIER], threads, phase)
        if p[LAYERNORM] != 0:
            _norm_gradients(
                real, p, first_vector, last_vector, step, threads, dst,
                lanes, size,
            )  # fmt: skip
            phase += 1
            _wait_for_all(p[BARRIER], threads, phase)
        for j in range(first, last):
            q = j if step & 1 == 0 else first + last - 1 - j
            row = 0
            while row < all_rows:
                block = TILE_ROWS
                if all_rows - row < TILE_ROWS:
                    block = SMALL_TILE_ROWS
                for v in range(TILE_VECTORS):
                    column = q * TILE_VECTORS + v
                    if step > 0 and column < vectors:
                        _prefetch_saved(
                            p, column, row, block, step - 1, lanes, size
                        )
                _multiply(
                    real, p[PACKED] + q * panel_bytes, dst, row, block,
                    scratch, 2 * vectors, row_bytes,
                )  # fmt: skip
                for v in range(TILE_VECTORS):
                    column = q * TILE_VECTORS + v
                    if column >= vectors:
                        continue
                    for r in range(row, min(row + block, rows)):
                        # A row past its end has zero gate gradients, so
                        # its carry stays as it is.
                        simd.add_vector(
                            real,
                            p[STATE] + column * row_bytes + r * VECTOR_BYTES,
                            scratch + (v * block + r - row) * VECTOR_BYTES,
                        )
                row += block

    for v in range(first_vector, last_vector):
        for r in range(rows):
            simd.copy_vector(
                real,
                p[DH0] + (r * hidden + v * lanes) * size,
                p[STATE] + v * row_bytes + r * VECTOR_BYTES,
            )


def _source_hash():
    """Identifies the code, for Numba's cache on disk.

    Numba looks at the file of the cached function alone; the intrinsics
    live in another one.
    """
    digest = hashlib.sha256()
    for path in (Path(__file__), Path(simd.__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _entry(body, real, fingerprint):
    """A C function ``void f(int64 *arguments)`` around a loop."""
    size = real(0).itemsize
    count = len(ARGUMENTS)

    @cfunc(types.void(types.CPointer(types.int64)), cache=True)
    def entry(arguments):
        # A closure variable is part of the key in Numba's cache.
        fingerprint  # noqa: B018
        body(real(0), carray(arguments, (count,)), size)

    return entry
