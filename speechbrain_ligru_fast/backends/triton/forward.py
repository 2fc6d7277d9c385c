"""The forward kernel: one launch runs steps ``first`` to ``last - 1``."""

import triton
import triton.language as tl

from speechbrain_ligru_fast.backends.triton.device import (
    COUNTER_STRIDE,
    activation,
    dot,
    load_operand,
    load_weights,
    locate,
    place,
    row_length,
    wait,
)


@triton.jit(
    do_not_specialize=[
        "batch", "steps", "first", "last", "first_group", "launch",
        "spin_limit",
    ]
)  # fmt: skip
def forward_kernel(
    w,
    u,
    mask,
    lengths,
    ln_weight,
    ln_bias,
    output,
    gates,
    normed,
    rstd,
    state,
    exchange,
    products,
    moments,
    counters,
    failure,
    batch,
    steps,
    first,
    last,
    first_group,
    launch,
    spin_limit,
    eps,
    HIDDEN: tl.constexpr,
    DIRECTIONS: tl.constexpr,
    NONLINEARITY: tl.constexpr,
    LAYERNORM: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_UNITS: tl.constexpr,
    SPLITS: tl.constexpr,
    BLOCK_K: tl.constexpr,
    RESIDENT: tl.constexpr,
    PERSISTENT: tl.constexpr,
    MULTIPLY: tl.constexpr,
    UPDATE: tl.constexpr,
):
    """Steps of the recurrence for one block of rows and units.

    A step multiplies the exchanged states with U (``MULTIPLY``), then
    normalises, applies the gate equations and exchanges the new states
    (``UPDATE``). Between the two, LayerNorm needs every unit's product: a
    barrier, or, where a launch is no barrier to wait at, two launches.

    Arguments
    ---------
    w, u, mask, lengths, ln_weight, ln_bias, output, gates, normed, rstd
        As in backends/reference.py, contiguous; None where absent.
    state : pointer
        (R, H) float32: the state before step ``first``, then the last one.
    exchange : pointer
        (2, R, H) of u's type: the states before an even or odd step.
    products : pointer
        (R, 2H) float32, from MULTIPLY to UPDATE in two launches.
    moments : pointer
        (2, R, tiles) float32: mean and squared deviations of each tile.
    counters, failure, launch, spin_limit
        See ``wait``.
    first_group : int
        Group of the first program.
    RESIDENT : bool
        U is loaded once for all steps; SPLITS * BLOCK_K then covers H.
    PERSISTENT : bool
        All programs run at once and wait for each other between steps.
    """
    TILES: tl.constexpr = (HIDDEN + BLOCK_UNITS - 1) // BLOCK_UNITS
    TILES_POW2: tl.constexpr = triton.next_power_of_2(TILES)
    count = batch * DIRECTIONS
    group, tile, rows, row_ok, units, unit_ok = place(
        batch, first_group, HIDDEN, DIRECTIONS, BLOCK_ROWS, BLOCK_UNITS
    )
    ok = row_ok[:, None] & unit_ok[None, :]
    own = rows[:, None] * HIDDEN + units[None, :]
    length = row_length(lengths, rows, row_ok, batch, steps)
    w_base = (rows % batch).to(tl.int64) * steps
    out_base = w_base * DIRECTIONS + rows // batch
    saved_base = rows.to(tl.int64) * steps
    counter = counters + group * COUNTER_STRIDE
    barriers = 0
    alive = 1

    # Candidate and gate of a unit are neighbours: one product for both.
    column = tl.arange(0, 2 * BLOCK_UNITS)
    unit = tile * BLOCK_UNITS + column // 2
    columns = (column % 2 * HIDDEN + unit) * HIDDEN
    column_ok = unit < HIDDEN
    if RESIDENT:
        tl.static_assert(SPLITS * BLOCK_K >= HIDDEN)
        weights = load_weights(
            u, columns, column_ok, 0, 1, HIDDEN, SPLITS, BLOCK_K, PRECISION
        )
    h = tl.load(state + own, mask=ok, other=0.0)
    if mask is not None:
        m = tl.load(mask + own, mask=ok, other=0.0)
    frame, active = locate(rows, length, batch, first)
    live = active[:, None] & unit_ok[None, :]
    at = (w_base + frame)[:, None] * (2 * HIDDEN) + units[None, :]
    w_a = tl.load(w + at, mask=live, other=0.0).to(tl.float32)
    w_z = tl.load(w + at + HIDDEN, mask=live, other=0.0).to(tl.float32)

    # Not a for loop: the compiler would pipeline it, that is read states
    # ahead of the barrier.
    step = first
    while step < last:
        if MULTIPLY:
            source = exchange + (step % 2) * count * HIDDEN
            if RESIDENT:
                operand = load_operand(
                    source, rows, row_ok, 0, HIDDEN, SPLITS, BLOCK_K, PRECISION
                )
                p = dot(operand, weights, PRECISION)
            else:
                p = tl.zeros((BLOCK_ROWS, 2 * BLOCK_UNITS), tl.float32)
                for k in range(0, HIDDEN, SPLITS * BLOCK_K):
                    operand = load_operand(
                        source,
                        rows,
                        row_ok,
                        k,
                        HIDDEN,
                        SPLITS,
                        BLOCK_K,
                        PRECISION,
                    )
                    weights = load_weights(
                        u,
                        columns,
                        column_ok,
                        k,
                        1,
                        HIDDEN,
                        SPLITS,
                        BLOCK_K,
                        PRECISION,
                    )
                    p += dot(operand, weights, PRECISION)
            p_a, p_z = tl.split(tl.reshape(p, (BLOCK_ROWS, BLOCK_UNITS, 2)))
            if LAYERNORM:
                # Mean and squared deviations of this tile's products, to
                # be merged by Chan's formula: no cancellation.
                here = 2.0 * tl.minimum(
                    HIDDEN - tile * BLOCK_UNITS, BLOCK_UNITS
                )
                mean = tl.sum(p_a + p_z, 1) / here
                d_a = tl.where(unit_ok[None, :], p_a - mean[:, None], 0.0)
                d_z = tl.where(unit_ok[None, :], p_z - mean[:, None], 0.0)
                spread = tl.sum(d_a * d_a + d_z * d_z, 1)
                moment = moments + rows * TILES + tile
                tl.store(moment, mean, mask=row_ok)
                tl.store(moment + count * TILES, spread, mask=row_ok)
            if not UPDATE:
                product = products + rows[:, None] * (2 * HIDDEN) + units
                tl.store(product, p_a, mask=ok)
                tl.store(product + HIDDEN, p_z, mask=ok)

        if LAYERNORM and PERSISTENT:
            barriers += 1
            alive = wait(
                counter, barriers * TILES, alive, failure, launch, spin_limit
            )
        if UPDATE:
            if not MULTIPLY:
                product = products + rows[:, None] * (2 * HIDDEN) + units
                p_a = tl.load(product, mask=ok, other=0.0)
                p_z = tl.load(product + HIDDEN, mask=ok, other=0.0)
            frame, active = locate(rows, length, batch, step)
            live = active[:, None] & unit_ok[None, :]
            saved = (saved_base + frame)[:, None] * (2 * HIDDEN) + units
            if LAYERNORM:
                tiles = tl.arange(0, TILES_POW2)
                moment = moments + rows[:, None] * TILES + tiles[None, :]
                known = row_ok[:, None] & (tiles < TILES)[None, :]
                means = tl.load(
                    moment, mask=known, other=0.0, cache_modifier=".cg"
                )
                spreads = tl.load(
                    moment + count * TILES,
                    mask=known,
                    other=0.0,
                    cache_modifier=".cg",
                )
                size = tl.minimum(HIDDEN - tiles * BLOCK_UNITS, BLOCK_UNITS)
                size = 2.0 * tl.maximum(size, 0)
                mean = tl.sum(means * size[None, :], 1) / (2 * HIDDEN)
                apart = means - mean[:, None]
                spread = tl.sum(spreads + size[None, :] * apart * apart, 1)
                scale = tl.rsqrt(spread / (2 * HIDDEN) + eps)
                p_a = (p_a - mean[:, None]) * scale[:, None]
                p_z = (p_z - mean[:, None]) * scale[:, None]
                if normed is not None:
                    tl.store(normed + saved, p_a, mask=live)
                    tl.store(normed + saved + HIDDEN, p_z, mask=live)
                    tl.store(
                        rstd + saved_base + frame,
                        scale,
                        mask=active & (tile == 0),
                    )
                if ln_weight is not None:
                    p_a *= tl.load(ln_weight + units, mask=unit_ok)[None, :]
                    p_z *= tl.load(ln_weight + HIDDEN + units, mask=unit_ok)[
                        None, :
                    ]
                if ln_bias is not None:
                    p_a += tl.load(ln_bias + units, mask=unit_ok)[None, :]
                    p_z += tl.load(ln_bias + HIDDEN + units, mask=unit_ok)[
                        None, :
                    ]
            a = w_a + p_a
            z = tl.sigmoid(w_z + p_z)
            candidate = activation(a, NONLINEARITY)
            if mask is not None:
                candidate *= m
            new = z * h + (1.0 - z) * candidate
            h = tl.where(active[:, None], new, h)
            if PERSISTENT:
                # Whoever reads on after a failed barrier must notice.
                h = tl.where(alive == 1, h, float("nan"))
            target = exchange + ((step + 1) % 2) * count * HIDDEN
            tl.store(target + own, h.to(exchange.dtype.element_ty), mask=ok)
            out = (out_base + frame * DIRECTIONS)[:, None] * HIDDEN + units
            tl.store(output + out, h.to(output.dtype.element_ty), mask=live)
            if gates is not None:
                tl.store(gates + saved, a, mask=live)
                tl.store(gates + saved + HIDDEN, z, mask=live)
            # The next step's input is on its way while this program waits.
            frame, active = locate(rows, length, batch, step + 1)
            live = (active & (step + 1 < last))[:, None] & unit_ok[None, :]
            at = (w_base + frame)[:, None] * (2 * HIDDEN) + units[None, :]
            w_a = tl.load(w + at, mask=live, other=0.0).to(tl.float32)
            w_z = tl.load(w + at + HIDDEN, mask=live, other=0.0).to(tl.float32)
        if PERSISTENT:
            if step + 1 < last:
                barriers += 1
                alive = wait(
                    counter, barriers * TILES, alive, failure, launch,
                    spin_limit,
                )  # fmt: skip
        step += 1

    if UPDATE:
        tl.store(state + own, h, mask=ok)
