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
import logging
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

logger = logging.getLogger(__name__)

# Positions in the table of int64 that a kernel gets. Addresses first; 0
# stands for an absent tensor.
ARGUMENTS = (
    "w h0 mask lengths ln_weight ln_bias output gates normed rstd u "
    "grad previous dgates dprojected dh0 "
    "packed operand state scratch sums table "
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
PACKED, OPERAND, STATE, SCRATCH, SUMS, TABLE = (
    _AT[n] for n in ("packed", "operand", "state", "scratch", "sums", "table")
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
    stride = TILE_VECTORS * VECTOR_BYTES
    target = p[PACKED] + panel * hidden * stride
    for gate in range(2):
        source = p[U] + (gate * hidden + panel * lanes) * hidden * size
        for k in range(0, hidden, lanes):
            simd.transpose_block(
                real,
                source + k * size,
                hidden * size,
                target + k * stride + gate * VECTOR_BYTES,
                stride,
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
def _reduce(real, sums, threads, per_thread, index, lanes, size):
    """Adds up one row's partial sums over threads and lanes."""
    total = real * 0
    for thread in range(threads):
        at = sums + thread * per_thread + index * VECTOR_BYTES
        for lane in range(lanes):
            total += simd.load_real(real, at + lane * size)
    return total


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
    real, code, save, mask, w, row, state, operand, tile, half, sink, unit,
    other,
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
    simd.copy_vector(real, operand, state)


@njit
def padded_rows_of(p):
    rows = p[BATCH] * p[DIRECTIONS]
    return -(-rows // SMALL_TILE_ROWS) * SMALL_TILE_ROWS


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
    other = hidden * size
    code, save, layernorm = p[CODE], p[SAVE], p[LAYERNORM]
    packed, operand, mask = p[PACKED], p[OPERAND], p[MASK]
    first = vectors * rank // threads
    last = vectors * (rank + 1) // threads
    scratch = p[SCRATCH] + rank * SCRATCH_BYTES
    sink = scratch + _SINK
    sums = p[SUMS] + rank * row_bytes
    table = p[TABLE] + rank * rows * ROW_BYTES
    # With LayerNorm, the products wait in a buffer behind the operands.
    waiting = operand + 2 * buffer_bytes

    for q in range(first, last):
        _pack_forward(real, p, q, lanes, size)
        for r in range(all_rows):
            at = q * row_bytes + r * VECTOR_BYTES
            simd.zero_vector(real, operand + buffer_bytes + at)
            if r < rows and p[H0] != 0:
                source = p[H0] + (r * hidden + q * lanes) * size
                simd.copy_vector(real, p[STATE] + at, source)
            else:
                simd.zero_vector(real, p[STATE] + at)
            simd.copy_vector(real, operand + at, p[STATE] + at)
    phase = 1
    _wait_for_all(p[BARRIER], threads, phase)

    for step in range(p[STEPS]):
        src = operand + (step & 1) * buffer_bytes
        dst = operand + ((step + 1) & 1) * buffer_bytes
        _locate_inputs(p, table, step, size)
        if layernorm != 0:
            for r in range(all_rows):
                simd.zero_vector(real, sums + r * VECTOR_BYTES)
        for i in range(first, last):
            # Turning round at the ends keeps what the cache holds in use.
            q = i if step & 1 == 0 else first + last - 1 - i
            unit = q * VECTOR_BYTES
            row = 0
            while row < all_rows:
                block = TILE_ROWS
                if all_rows - row < TILE_ROWS:
                    block = SMALL_TILE_ROWS
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
                    real, packed + q * panel_bytes, src, row, block, tile,
                    vectors, row_bytes,
                )  # fmt: skip
                for j in range(used):
                    at = tile + j * VECTOR_BYTES
                    r = row + j
                    if layernorm != 0:
                        simd.square_point(
                            real, at, at + half, sums + r * VECTOR_BYTES
                        )
                        continue
                    state = q * row_bytes + r * VECTOR_BYTES
                    entry = table + r * ROW_BYTES
                    _step_unit(
                        real, code, save, mask + r * other,
                        simd.load_int(entry), entry, p[STATE] + state,
                        dst + state, at, half, sink, unit, other,
                    )  # fmt: skip
                row += block
        phase += 1
        _wait_for_all(p[BARRIER], threads, phase)
        if layernorm != 0:
            _normalise_step(
                real, p, step, first, last, threads, dst, waiting, sink,
                table, lanes, size,
            )  # fmt: skip
            phase += 1
            _wait_for_all(p[BARRIER], threads, phase)


@njit
def _normalise_step(
    real, p, step, first, last, threads, dst, waiting, sink, table, lanes,
    size,
):  # fmt: skip
    """SLiGRU's second half of a step: LayerNorm, then the gates."""
    hidden, steps, batch = p[HIDDEN], p[STEPS], p[BATCH]
    rows = batch * p[DIRECTIONS]
    all_rows = padded_rows_of(p)
    row_bytes = all_rows * VECTOR_BYTES
    other = hidden * size
    code, save = p[CODE], p[SAVE]
    eps = simd.load_real(real, p[EPS])
    for r in range(rows):
        row = r // TILE_ROWS * TILE_ROWS
        block = TILE_ROWS if all_rows - row >= TILE_ROWS else SMALL_TILE_ROWS
        half = block * VECTOR_BYTES
        entry = table + r * ROW_BYTES
        w = simd.load_int(entry)
        rstd = real
        if w != 0:
            total = _reduce(real, p[SUMS], threads, row_bytes, r, lanes, size)
            # U's columns are centred, so that the products' mean is 0.
            rstd = real + 1 / np.sqrt(total / (2 * p[TRUE_HIDDEN]) + eps)
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
                        rstd,
                        tile + gate * half,
                        p[LN_WEIGHT] + unit + gate * other,
                        p[LN_BIAS] + unit + gate * other,
                        n,
                    )
            state = q * row_bytes + r * VECTOR_BYTES
            _step_unit(
                real, code, save, p[MASK] + r * other, w, entry,
                p[STATE] + state, dst + state, tile, half, sink, unit, other,
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
def _gate_gradients(real, p, unit_vector, table, dst, sums, size):
    """Gate gradients of one vector of units at one step, for all rows."""
    rows = p[BATCH] * p[DIRECTIONS]
    row_bytes = padded_rows_of(p) * VECTOR_BYTES
    other = p[HIDDEN] * size
    unit = unit_vector * VECTOR_BYTES
    carries = p[STATE] + unit_vector * row_bytes
    oa = dst + unit_vector * row_bytes
    oz = oa + other // VECTOR_BYTES * row_bytes
    code, mask, layernorm = p[CODE], p[MASK] + unit, p[LAYERNORM]
    dgates, gates = p[DGATES] + unit, p[GATES] + unit
    weight, normed = p[LN_WEIGHT] + unit, p[NORMED] + unit
    for r in range(rows):
        at = r * VECTOR_BYTES
        entry = table + r * ROW_BYTES
        grad = simd.load_int(entry)
        if grad == 0:
            simd.zero_vector(real, oa + at)
            simd.zero_vector(real, oz + at)
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
            simd.copy_vector(real, oa + at, da)
            simd.copy_vector(real, oz + at, da + other)
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
    real, p, first, last, step, threads, table, dst, lanes, size
):
    """SLiGRU: from the gates' gradients to those of the products."""
    hidden, steps, batch = p[HIDDEN], p[STEPS], p[BATCH]
    rows = batch * p[DIRECTIONS]
    row_bytes = padded_rows_of(p) * VECTOR_BYTES
    vectors = hidden // lanes
    count = 2 * p[TRUE_HIDDEN]
    dgates, dprojected = p[DGATES], p[DPROJECTED]
    weight, normed = p[LN_WEIGHT], p[NORMED]
    for r in range(rows):
        entry = table + r * ROW_BYTES
        if simd.load_int(entry) == 0:
            continue
        mean = _reduce(
            real, p[SUMS], threads, 2 * row_bytes, 2 * r, lanes, size
        )
        product = _reduce(
            real, p[SUMS], threads, 2 * row_bytes, 2 * r + 1, lanes, size
        )
        mean = real + mean / count
        product = real + product / count
        frame = _frame(p, r // batch, r % batch, step)
        rstd = simd.load_real(real, p[RSTD] + (r * steps + frame) * size)
        saved = simd.load_int(entry + 8)
        for v in range(first, last):
            for gate in range(2):
                unit = (gate * vectors + v) * VECTOR_BYTES
                simd.norm_backward_point(
                    real,
                    rstd,
                    mean,
                    product,
                    dgates + saved + unit,
                    weight + unit,
                    normed + saved + unit,
                    dprojected + saved + unit,
                    dst + (gate * vectors + v) * row_bytes + r * VECTOR_BYTES,
                )


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

    table = p[TABLE] + rank * rows * ROW_BYTES
    _locate_saved(p, table, p[STEPS] - 1, size)
    for i in range(p[STEPS]):
        step = p[STEPS] - 1 - i
        dst = p[OPERAND] + (i & 1) * buffer_bytes
        if p[LAYERNORM] != 0:
            for r in range(2 * all_rows):
                simd.zero_vector(real, sums + r * VECTOR_BYTES)
        for v in range(first_vector, last_vector):
            _gate_gradients(real, p, v, table, dst, sums, size)
        phase += 1
        _wait_for_all(p[BARRIER], threads, phase)
        if p[LAYERNORM] != 0:
            _norm_gradients(
                real, p, first_vector, last_vector, step, threads, table, dst,
                lanes, size,
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
                block = TILE_ROWS
                if all_rows - row < TILE_ROWS:
                    block = SMALL_TILE_ROWS
                used = min(block, rows - row)
                for v in range(columns):
                    _prefetch_saved(
                        p, q * TILE_VECTORS + v, row, used, table, size
                    )
                _multiply(
                    real, p[PACKED] + q * panel_bytes, dst, row, block,
                    scratch, 2 * vectors, row_bytes,
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


def _source_hash():
    """Identifies the code, for Numba's cache on disk.

    Numba looks at the file of the cached function alone; the intrinsics
    live in another one.
    """
    digest = hashlib.sha256()
    for path in (Path(__file__), Path(simd.__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _entry(direction, real, fingerprint):
    """A C function ``void f(int64 *arguments)`` around a loop.

    What the functions below enclose is a part of the key in Numba's cache on
    disk: plain values only, for a compiled function among them would give
    every process a key of its own.
    """
    size = real(0).itemsize
    count = len(ARGUMENTS)

    def forward(arguments):
        fingerprint  # noqa: B018
        _forward(real(0), carray(arguments, (count,)), size)

    def backward(arguments):
        fingerprint  # noqa: B018
        _backward(real(0), carray(arguments, (count,)), size)

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
