"""What the kernels of both directions share, as Triton device functions.

A *program* owns the units ``[tile * BLOCK_UNITS, ...)`` of the rows
``[group * BLOCK_ROWS, ...)`` for as long as a launch lasts. The programs of
one group exchange their results through global memory, with a barrier between
writing and reading; groups never talk to each other.
"""

import triton
import triton.language as tl

from speechbrain_ligru_fast.backends.spec import LEAKY_SLOPE

_LEAKY_SLOPE = tl.constexpr(LEAKY_SLOPE)

# int32 counters lie this far apart, so that two groups share no cache line.
COUNTER_STRIDE = tl.constexpr(32)


@triton.jit
def tanh(x):
    """tanh, accurate near zero too; libdevice has no CPU interpreter."""
    # Away from zero by exp; near it by Lambert's continued fraction, whose
    # error below 0.7 is smaller than a float32 rounding.
    e = tl.exp(-2.0 * tl.abs(x))
    far = (1.0 - e) / (1.0 + e)
    far = tl.where(x < 0, -far, far)
    s = x * x
    near = x * (945.0 + s * (105.0 + s)) / (945.0 + s * (420.0 + s * 15.0))
    return tl.where(tl.abs(x) < 0.7, near, far)


@triton.jit
def activation(a, NONLINEARITY: tl.constexpr):
    """The candidate's activation. Comparisons are such that NaN stays NaN."""
    if NONLINEARITY == "relu":
        return tl.where(a <= 0, 0.0, a)
    elif NONLINEARITY == "tanh":
        return tanh(a)
    elif NONLINEARITY == "sin":
        return tl.sin(a)
    else:
        return tl.where(a > 0, a, _LEAKY_SLOPE * a)


@triton.jit
def slope(a, NONLINEARITY: tl.constexpr):
    """Derivative of the activation at ``a``."""
    if NONLINEARITY == "relu":
        return tl.where(a > 0, 1.0, 0.0)
    elif NONLINEARITY == "tanh":
        # 1 - tanh(a) ** 2 cancels away from 0.
        e = tl.exp(-2.0 * tl.abs(a))
        return 4.0 * e / ((1.0 + e) * (1.0 + e))
    elif NONLINEARITY == "sin":
        return tl.cos(a)
    else:
        return tl.where(a > 0, 1.0, _LEAKY_SLOPE)


@triton.jit
def place(
    batch,
    first_group,
    HIDDEN: tl.constexpr,
    DIRECTIONS: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_UNITS: tl.constexpr,
):
    """This program's group, tile, rows and units, and which of them exist."""
    tiles: tl.constexpr = (HIDDEN + BLOCK_UNITS - 1) // BLOCK_UNITS
    group = first_group + tl.program_id(0) // tiles
    tile = tl.program_id(0) % tiles
    rows = group * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    units = tile * BLOCK_UNITS + tl.arange(0, BLOCK_UNITS)
    return group, tile, rows, rows < DIRECTIONS * batch, units, units < HIDDEN


@triton.jit
def row_length(lengths, rows, row_ok, batch, steps):
    """Frames of each row."""
    if lengths is None:
        return tl.where(row_ok, steps, 0)
    else:
        return tl.load(lengths + rows % batch, mask=row_ok, other=0).to(
            tl.int32
        )


@triton.jit
def locate(rows, row_length, batch, step):
    """The frame each row reads at a step, and whether it has one.

    Direction 1 reads time backwards from its utterance's own last frame.
    """
    frame = tl.where(rows < batch, step, row_length - 1 - step)
    return frame, (step >= 0) & (step < row_length)


@triton.jit
def rounded(x, PRECISION: tl.constexpr):
    """x as the matrix units read it: in TF32 to the nearest.

    They cut off its last 13 bits, which makes each product a little too small:
    in a recurrence such errors add up instead of cancelling.
    """
    if PRECISION == "tf32":
        bits = (x.to(tl.int32, bitcast=True) + 0x1000) & -0x2000
        return tl.where(x == x, bits.to(tl.float32, bitcast=True), x)
    else:
        return x


@triton.jit
def load_operand(
    source,
    rows,
    row_ok,
    start,
    WIDTH: tl.constexpr,
    SPLITS: tl.constexpr,
    BLOCK_K: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """(SPLITS, rows, BLOCK_K) of what the group has exchanged.

    ``.cg`` reads the L2 cache, where the other programs' stores are; a line
    that an earlier step left in L1 would be stale.
    """
    part = tl.arange(0, SPLITS)[:, None, None]
    k = start + part * BLOCK_K + tl.arange(0, BLOCK_K)[None, None, :]
    found = tl.load(
        source + rows[None, :, None] * WIDTH + k,
        mask=row_ok[None, :, None] & (k < WIDTH),
        other=0.0,
        cache_modifier=".cg",
    )
    return rounded(found, PRECISION)


@triton.jit
def load_weights(
    u,
    columns,
    column_ok,
    start,
    K_STRIDE: tl.constexpr,
    WIDTH: tl.constexpr,
    SPLITS: tl.constexpr,
    BLOCK_K: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """(SPLITS, BLOCK_K, columns) of U; ``columns`` are offsets of k = 0."""
    part = tl.arange(0, SPLITS)[:, None, None]
    k = start + part * BLOCK_K + tl.arange(0, BLOCK_K)[None, :, None]
    found = tl.load(
        u + k * K_STRIDE + columns[None, None, :],
        mask=column_ok[None, None, :] & (k < WIDTH),
        other=0.0,
    )
    return rounded(found, PRECISION)


@triton.jit
def dot(operand, weights, PRECISION: tl.constexpr):
    """(rows, columns): each of the SPLITS is one warp's share of the sum."""
    parts = tl.dot(operand, weights, input_precision=PRECISION)
    return tl.sum(parts, 0)


@triton.jit
def wait(counter, target, alive, failure, launch, spin_limit):
    """A barrier between the programs of a group, which gives up.

    The counter only grows: nobody has to reset it between two barriers. A
    program that waits in vain stores ``launch`` in ``failure``, stops
    waiting for good and returns 0, so that a launch ends in any case.

    Arguments
    ---------
    counter : pointer
        int32, zero before the launch.
    target : int
        Arrivals to wait for: programs times the barriers so far.
    alive : int
        1 until this program has waited in vain.
    failure : pointer
        int32, where a failed launch leaves its number.
    launch : int
        That number, not 0.
    spin_limit : int
        How many times to look at the counter.

    Returns
    -------
    int
        The new ``alive``.
    """
    # The atomics are one thread's; these barriers extend what they order to
    # the whole program. An arrival acquires as well: the last to arrive does
    # not look at the counter again.
    tl.debug_barrier()
    arrived = tl.atomic_add(counter, 1, sem="acq_rel") + 1
    spins = 0
    while (arrived < target) & (spins < spin_limit * alive):
        arrived = tl.atomic_add(counter, 0, sem="acquire")
        spins += 1
    if arrived < target:
        tl.store(failure, launch)
    tl.debug_barrier()
    return alive * (arrived >= target).to(tl.int32)
