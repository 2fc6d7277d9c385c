"""The backward kernel: one launch runs iterations ``first`` to ``last - 1``.

Iteration i handles step T - 1 - i. The last one, i = T, has no step: it only
adds the product that makes the gradient of the initial state.
"""

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
    slope,
    wait,
)


@triton.jit
def _load_saved(
    grad, previous, gates, grad_at, state_at, saved_at, live,
    HIDDEN: tl.constexpr,
):  # fmt: skip
    """What one step reads: its output's gradient, its state, its gates."""
    return (
        tl.load(grad + grad_at, mask=live, other=0.0).to(tl.float32),
        tl.load(previous + state_at, mask=live, other=0.0).to(tl.float32),
        tl.load(gates + saved_at, mask=live, other=0.0),
        tl.load(gates + saved_at + HIDDEN, mask=live, other=0.0),
    )


@triton.jit(
    do_not_specialize=[
        "batch", "steps", "first", "last", "first_group", "launch",
        "spin_limit",
    ]
)  # fmt: skip
def backward_kernel(
    grad,
    previous,
    gates,
    normed,
    rstd,
    u,
    mask,
    lengths,
    ln_weight,
    dgates,
    dprojected,
    state,
    exchange,
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
    """Backpropagation through time for one block of rows and units.

    An iteration adds the exchanged gradients times U to the carry, computes
    the gates' gradients (``MULTIPLY``), takes them through the LayerNorm and
    exchanges them (``UPDATE``). As in the forward, LayerNorm puts a barrier
    or a launch between the two.

    Arguments
    ---------
    grad, previous, gates, normed, rstd, u, mask, lengths, ln_weight
        As in backends/reference.py, contiguous; None where absent.
    dgates, dprojected : pointer
        Results; dprojected is None without LayerNorm.
    state : pointer
        (R, H) float32: the carry, zero before iteration 0; in the end the
        gradient of the initial state.
    exchange : pointer
        (2, R, 2H) of u's type: what an even or odd iteration multiplies,
        zero before iteration 0.
    moments : pointer
        (2, R, tiles) float32: each tile's sums of dn and of dn * n.

    The rest is as in the forward kernel; SPLITS * BLOCK_K covers 2H.
    """
    TILES: tl.constexpr = (HIDDEN + BLOCK_UNITS - 1) // BLOCK_UNITS
    TILES_POW2: tl.constexpr = triton.next_power_of_2(TILES)
    WIDTH: tl.constexpr = 2 * HIDDEN
    count = batch * DIRECTIONS
    group, tile, rows, row_ok, units, unit_ok = place(
        batch, first_group, HIDDEN, DIRECTIONS, BLOCK_ROWS, BLOCK_UNITS
    )
    ok = row_ok[:, None] & unit_ok[None, :]
    own = rows[:, None] * HIDDEN + units[None, :]
    sent = rows[:, None] * WIDTH + units[None, :]
    length = row_length(lengths, rows, row_ok, batch, steps)
    grad_base = (rows % batch).to(tl.int64) * steps * DIRECTIONS + rows // batch
    saved_base = rows.to(tl.int64) * steps
    counter = counters + group * COUNTER_STRIDE
    barriers = 0
    alive = 1

    if RESIDENT:
        tl.static_assert(SPLITS * BLOCK_K >= WIDTH)
        weights = load_weights(
            u, units, unit_ok, 0, HIDDEN, WIDTH, SPLITS, BLOCK_K, PRECISION
        )
    carry = tl.load(state + own, mask=ok, other=0.0)
    if mask is not None:
        m = tl.load(mask + own, mask=ok, other=0.0)
    frame, active = locate(rows, length, batch, steps - 1 - first)
    live = active[:, None] & unit_ok[None, :]
    if MULTIPLY:
        dh, h, a, z = _load_saved(
            grad, previous, gates,
            (grad_base + frame * DIRECTIONS)[:, None] * HIDDEN + units,
            (saved_base + frame)[:, None] * HIDDEN + units,
            (saved_base + frame)[:, None] * WIDTH + units,
            live, HIDDEN,
        )  # fmt: skip

    # Not a for loop: the compiler would pipeline it, that is read gradients
    # ahead of the barrier.
    i = first
    while i < last:
        frame, active = locate(rows, length, batch, steps - 1 - i)
        live = active[:, None] & unit_ok[None, :]
        saved = (saved_base + frame)[:, None] * WIDTH + units
        if LAYERNORM:
            n_a = tl.load(normed + saved, mask=live, other=0.0)
            n_z = tl.load(normed + saved + HIDDEN, mask=live, other=0.0)
        if MULTIPLY:
            source = exchange + (i % 2) * count * WIDTH
            if RESIDENT:
                operand = load_operand(
                    source, rows, row_ok, 0, WIDTH, SPLITS, BLOCK_K, PRECISION
                )
                carry += dot(operand, weights, PRECISION)
            else:
                for k in range(0, WIDTH, SPLITS * BLOCK_K):
                    operand = load_operand(
                        source,
                        rows,
                        row_ok,
                        k,
                        WIDTH,
                        SPLITS,
                        BLOCK_K,
                        PRECISION,
                    )
                    weights = load_weights(
                        u,
                        units,
                        unit_ok,
                        k,
                        HIDDEN,
                        WIDTH,
                        SPLITS,
                        BLOCK_K,
                        PRECISION,
                    )
                    carry += dot(operand, weights, PRECISION)
            if PERSISTENT:
                # Whoever reads on after a failed barrier must notice.
                carry = tl.where(alive == 1, carry, float("nan"))
            dh += carry
            candidate = activation(a, NONLINEARITY)
            rise = slope(a, NONLINEARITY)
            if mask is not None:
                candidate *= m
                rise *= m
            d_a = tl.where(live, dh * (1.0 - z) * rise, 0.0)
            d_z = tl.where(live, dh * (h - candidate) * z * (1.0 - z), 0.0)
            carry = tl.where(active[:, None], z * dh, carry)
            tl.store(dgates + saved, d_a, mask=live)
            tl.store(dgates + saved + HIDDEN, d_z, mask=live)
        elif LAYERNORM:
            d_a = tl.load(dgates + saved, mask=live, other=0.0)
            d_z = tl.load(dgates + saved + HIDDEN, mask=live, other=0.0)
        if LAYERNORM:
            if ln_weight is not None:
                d_a *= tl.load(ln_weight + units, mask=unit_ok)[None, :]
                d_z *= tl.load(ln_weight + HIDDEN + units, mask=unit_ok)[
                    None, :
                ]
            if MULTIPLY:
                moment = moments + rows * TILES + tile
                tl.store(moment, tl.sum(d_a + d_z, 1), mask=row_ok)
                tl.store(
                    moment + count * TILES,
                    tl.sum(d_a * n_a + d_z * n_z, 1),
                    mask=row_ok,
                )
            if PERSISTENT:
                barriers += 1
                alive = wait(
                    counter, barriers * TILES, alive, failure, launch,
                    spin_limit,
                )  # fmt: skip
            if UPDATE:
                tiles = tl.arange(0, TILES_POW2)
                moment = moments + rows[:, None] * TILES + tiles[None, :]
                known = row_ok[:, None] & (tiles < TILES)[None, :]
                mean = tl.load(
                    moment, mask=known, other=0.0, cache_modifier=".cg"
                )
                along = tl.load(
                    moment + count * TILES,
                    mask=known,
                    other=0.0,
                    cache_modifier=".cg",
                )
                mean = tl.sum(mean, 1)[:, None] / WIDTH
                along = tl.sum(along, 1)[:, None] / WIDTH
                scale = tl.load(rstd + saved_base + frame, mask=active)[:, None]
                d_a = tl.where(live, scale * (d_a - mean - n_a * along), 0.0)
                d_z = tl.where(live, scale * (d_z - mean - n_z * along), 0.0)
                tl.store(dprojected + saved, d_a, mask=live)
                tl.store(dprojected + saved + HIDDEN, d_z, mask=live)
        if UPDATE:
            target = exchange + ((i + 1) % 2) * count * WIDTH
            operand_type = exchange.dtype.element_ty
            tl.store(target + sent, d_a.to(operand_type), mask=ok)
            tl.store(target + sent + HIDDEN, d_z.to(operand_type), mask=ok)
        if MULTIPLY:
            # What the next step reads is on its way while this one waits.
            frame, active = locate(rows, length, batch, steps - 2 - i)
            live = (active & (i + 1 < last))[:, None] & unit_ok[None, :]
            dh, h, a, z = _load_saved(
                grad, previous, gates,
                (grad_base + frame * DIRECTIONS)[:, None] * HIDDEN + units,
                (saved_base + frame)[:, None] * HIDDEN + units,
                (saved_base + frame)[:, None] * WIDTH + units,
                live, HIDDEN,
            )  # fmt: skip
        if PERSISTENT:
            if i + 1 < last:
                barriers += 1
                alive = wait(
                    counter, barriers * TILES, alive, failure, launch,
                    spin_limit,
                )  # fmt: skip
        i += 1

    if MULTIPLY:
        tl.store(state + own, carry, mask=ok)
