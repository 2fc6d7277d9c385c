"""Where each row reads and writes at a step, whatever its length.

The loops hold the rows by length, the longest first: at each step those that
have not ended are the first ones, and no others are multiplied.
"""

from numba import njit

from speechbrain_ligru_fast.backends.numba.cpu import arguments as arg
from speechbrain_ligru_fast.backends.numba.cpu import memory
from speechbrain_ligru_fast.backends.numba.cpu.vectors import VECTOR_BYTES


@njit
def active_rows(p, step):
    """How many rows have a frame at a step."""
    return memory.load_int(p[arg.ACTIVE] + step * 8)


@njit
def row_of(p, r):
    """The operator's row, direction times B plus utterance, of a loop's."""
    return memory.load_int(p[arg.ORDER] + r * 8)


@njit
def length_of(p, utterance):
    """An utterance's frames."""
    if p[arg.LENGTHS] == 0:
        return p[arg.STEPS]
    return memory.load_int(p[arg.LENGTHS] + utterance * 8)


@njit
def frame_of(p, direction, utterance, step):
    """The frame that an active row reads at a step."""
    if direction == 0:
        return step
    return length_of(p, utterance) - 1 - step


@njit
def clear_ends(real, p, which, first, last, size):
    """Zeros in one of the table's results, in frames past the rows' ends.

    Of its tensors those that have two numbers for each unit, of each row or,
    for joined directions, of each utterance; or the output, which has one. Of
    each the vectors of units from ``first`` to ``last``.
    """
    if p[which] == 0 or p[arg.LENGTHS] == 0:
        return
    batch, steps = p[arg.BATCH], p[arg.STEPS]
    unit = p[arg.HIDDEN] * size
    for r in range(p[arg.ROWS]):
        row = row_of(p, r)
        direction, utterance = row // batch, row % batch
        numbers, at, distance = 2, row * steps * 2 * unit, 2 * unit
        if which == arg.JOINED:
            at = utterance * steps * 2 * unit
        elif which == arg.OUTPUT:
            numbers, distance = 1, p[arg.DIRECTIONS] * unit
            at = utterance * steps * distance + direction * unit
        for frame in range(length_of(p, utterance), steps):
            for number in range(numbers):
                start = p[which] + at + frame * distance + number * unit
                for v in range(first, last):
                    memory.zero_vector(real, start + v * VECTOR_BYTES)


@njit
def locate_inputs(p, table, step, size):
    """Fills a thread's table for a step of the forward.

    Per active row the addresses of its input projection, its output, its
    saved gates, its saved normalised products and its mask, and the number of
    its frame among all that are saved.
    """
    batch, steps, hidden = p[arg.BATCH], p[arg.STEPS], p[arg.HIDDEN]
    directions = p[arg.DIRECTIONS]
    for r in range(active_rows(p, step)):
        at = table + r * arg.ROW_BYTES
        row = row_of(p, r)
        direction, utterance = row // batch, row % batch
        frame = frame_of(p, direction, utterance, step)
        cell = utterance * steps + frame
        saved = (row * steps + frame) * 2 * hidden * size
        memory.store_int(at, p[arg.W] + cell * 2 * hidden * size)
        memory.store_int(
            at + 8,
            p[arg.OUTPUT] + (cell * directions + direction) * hidden * size,
        )
        memory.store_int(at + 16, p[arg.GATES] + saved)
        memory.store_int(at + 24, p[arg.NORMED] + saved)
        memory.store_int(at + 32, p[arg.MASK] + row * hidden * size)
        memory.store_int(at + 40, row * steps + frame)


@njit
def locate_saved(p, table, step, size):
    """Fills a thread's table for a step of the backward.

    Per active row the address of its output's gradient, the offset of its
    gates, the addresses of its previous state, of its frame's gradient for both
    directions and of its mask, and the number of its frame among all that are
    saved.
    """
    batch, steps, hidden = p[arg.BATCH], p[arg.STEPS], p[arg.HIDDEN]
    directions = p[arg.DIRECTIONS]
    for r in range(active_rows(p, step)):
        at = table + r * arg.ROW_BYTES
        row = row_of(p, r)
        direction, utterance = row // batch, row % batch
        frame = frame_of(p, direction, utterance, step)
        cell = (utterance * steps + frame) * directions + direction
        saved = (row * steps + frame) * hidden * size
        memory.store_int(at, p[arg.GRAD] + cell * hidden * size)
        memory.store_int(at + 8, 2 * saved)
        memory.store_int(at + 16, p[arg.PREVIOUS] + saved)
        joined = (utterance * steps + frame) * 2 * hidden * size
        memory.store_int(at + 24, p[arg.JOINED] + joined)
        memory.store_int(at + 32, p[arg.MASK] + row * hidden * size)
        memory.store_int(at + 40, row * steps + frame)


@njit
def prefetch_saved(p, unit_vector, row, used, table, size):
    """Asks for what the gate gradients of the next step read."""
    other = p[arg.HIDDEN] * size
    unit = unit_vector * VECTOR_BYTES
    for r in range(row, row + used):
        entry = table + r * arg.ROW_BYTES
        gates = p[arg.GATES] + memory.load_int(entry + 8) + unit
        memory.prefetch(gates)
        memory.prefetch(gates + other)
        memory.prefetch(memory.load_int(entry + 16) + unit)
        memory.prefetch(memory.load_int(entry) + unit)
