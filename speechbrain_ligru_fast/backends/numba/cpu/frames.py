"""Where each row reads and writes at a step, whatever its length."""

from numba import njit

from speechbrain_ligru_fast.backends.numba.cpu import arguments as arg
from speechbrain_ligru_fast.backends.numba.cpu import memory
from speechbrain_ligru_fast.backends.numba.cpu.vectors import VECTOR_BYTES


@njit
def frame_of(p, direction, utterance, step):
    """The frame that a row reads at a step, or -1 past its end."""
    length = p[arg.STEPS]
    if p[arg.LENGTHS] != 0:
        length = memory.load_int(p[arg.LENGTHS] + utterance * 8)
    if step >= length:
        return -1
    if direction == 0:
        return step
    return length - 1 - step


@njit
def locate_inputs(p, table, step, size):
    """Fills a thread's table of row addresses for a step of the forward.

    Per row: its input projection (0 past its end), its output, its saved
    gates and its saved normalised products.
    """
    batch, steps, hidden = p[arg.BATCH], p[arg.STEPS], p[arg.HIDDEN]
    directions = p[arg.DIRECTIONS]
    for direction in range(directions):
        for utterance in range(batch):
            row = direction * batch + utterance
            at = table + row * arg.ROW_BYTES
            frame = frame_of(p, direction, utterance, step)
            if frame < 0:
                memory.store_int(at, 0)
                continue
            cell = utterance * steps + frame
            saved = (row * steps + frame) * 2 * hidden * size
            memory.store_int(at, p[arg.W] + cell * 2 * hidden * size)
            memory.store_int(
                at + 8,
                p[arg.OUTPUT] + (cell * directions + direction) * hidden * size,
            )
            memory.store_int(at + 16, p[arg.GATES] + saved)
            memory.store_int(at + 24, p[arg.NORMED] + saved)


@njit
def locate_saved(p, table, step, size):
    """Fills a thread's table of row addresses for a step of the backward.

    Per row: its output's gradient (0 past its end), the offset of its gates
    and its previous state.
    """
    batch, steps, hidden = p[arg.BATCH], p[arg.STEPS], p[arg.HIDDEN]
    directions = p[arg.DIRECTIONS]
    for direction in range(directions):
        for utterance in range(batch):
            row = direction * batch + utterance
            at = table + row * arg.ROW_BYTES
            frame = frame_of(p, direction, utterance, step)
            if frame < 0:
                memory.store_int(at, 0)
                continue
            cell = (utterance * steps + frame) * directions + direction
            saved = (row * steps + frame) * hidden * size
            memory.store_int(at, p[arg.GRAD] + cell * hidden * size)
            memory.store_int(at + 8, 2 * saved)
            memory.store_int(at + 16, p[arg.PREVIOUS] + saved)


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
