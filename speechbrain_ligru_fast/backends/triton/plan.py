"""How a scan is cut into programs: block sizes and launch mode.

Plain arithmetic on sizes, so that it is tested without a GPU. What a program
may hold follows the compiler's reports, which the kernels' tests read; the
weighing of launches against work is a guess.
"""

from dataclasses import dataclass

_BLOCK_ROWS = (16, 32, 64)
_BLOCK_UNITS = (16, 32, 64, 128)
# Warps of a program, each of which adds up its own share of a product.
_SPLITS = 8
# Sums and elements of an operand beyond which a warp's registers spill.
_MOST_SUMS = 1024
_MOST_OPERAND = 8192
_MOST_RESIDENT_ROWS = 32
# A warp's share of a product at a time. Exact float32 has no tensor cores: its
# product is unrolled, and so has to be short. TF32 has, but takes the same
# plan: whether a longer share pays there has to be measured.
_SHARE = {2: 512, 4: 32}
_STREAMED_SHARE = {2: 32, 4: 16}


@dataclass(frozen=True)
class Device:
    """What a plan asks about a GPU.

    Arguments
    ---------
    processors : int
        Multiprocessors (compute units).
    shared : int
        Bytes of shared memory that a program can have.
    amd : bool
        AMD's compiler keeps weights in registers, NVIDIA's in shared memory.
    cooperative : bool
        Whether all programs of a launch can be made to run at once.
    """

    processors: int = 132
    shared: int = 227 * 1024
    amd: bool = False
    cooperative: bool = True


@dataclass(frozen=True)
class Plan:
    """Blocks and mode of one kernel.

    Arguments
    ---------
    block_rows, block_units : int
        Rows and hidden units of a program.
    splits : int
        Warps of a program.
    block_k : int
        A warp's share of a product, or of the piece of it that is
        multiplied at a time.
    resident : bool
        Whether the weights stay in the program over time.
    persistent : bool
        Whether one launch runs all steps, with barriers in between.
    groups : int
        Blocks of rows in one launch.
    """

    block_rows: int
    block_units: int
    splits: int
    block_k: int
    resident: bool
    persistent: bool
    groups: int

    def tiles(self, hidden):
        """Programs that share a block of rows."""
        return -(-hidden // self.block_units)


def _share(width):
    """A warp's share of a product over ``width``: a power of 2, at least 16."""
    return max(16, 1 << (-(-width // _SPLITS) - 1).bit_length())


def _fits(device, share, itemsize, rows, columns):
    """Whether a program can hold the weights of a whole product."""
    weights = _SPLITS * share * columns * itemsize
    operand = _SPLITS * share * rows * itemsize
    sums = _SPLITS * rows * columns * 4
    if device.amd:
        shared = max(weights, operand, sums)
    else:
        shared = weights + max(operand, sums)
    return (
        share <= _SHARE[itemsize]
        and share * rows <= _MOST_OPERAND
        and rows <= _MOST_RESIDENT_ROWS
        and shared <= device.shared
    )


def plan(device, hidden, rows, itemsize, steps, backward=False):
    """The plan of a scan.

    All programs of a persistent launch must run at the same time, so that
    they may wait for each other: at most one per multiprocessor. Rows that
    don't fit run in further launches. Where not even one block of rows fits,
    every step is a launch.

    Arguments
    ---------
    device : Device
        The GPU.
    hidden, rows, steps : int
        H, rows (directions times utterances) and iterations.
    itemsize : int
        Bytes of the product's operands.
    backward : bool
        The backward multiplies 2H gate gradients, the forward H states.

    Returns
    -------
    Plan

    Example
    -------
    >>> how = plan(Device(), hidden=512, rows=16, itemsize=2, steps=100)
    >>> how.persistent, how.resident, how.block_rows, how.tiles(512)
    (True, True, 16, 32)
    >>> plan(Device(), hidden=512, rows=16, itemsize=2, steps=1).persistent
    False
    """
    # Nothing to compute is launched by nobody, but has a plan.
    hidden = max(hidden, 1)
    width, gates = (2 * hidden, 1) if backward else (hidden, 2)
    share = _share(width)
    found = []
    for block_rows in _BLOCK_ROWS:
        for block_units in _BLOCK_UNITS:
            columns = gates * block_units
            if block_rows * columns > _MOST_SUMS:
                continue
            tiles = -(-hidden // block_units)
            groups = max(1, -(-rows // block_rows))
            persistent = (
                device.cooperative and steps > 1 and tiles <= device.processors
            )
            resident = persistent and _fits(
                device, share, itemsize, block_rows, columns
            )
            at_once = groups
            if persistent:
                at_once = min(groups, device.processors // tiles)
            # In units of a barrier: 2**18 multiply-adds of a program take
            # about as long; weights that don't stay cost as much again.
            work = block_rows * block_units * width / 2**18
            cost = -(-groups // at_once) * (1 + work * (2 - resident))
            how = Plan(
                block_rows,
                block_units,
                _SPLITS,
                share if resident else _STREAMED_SHARE[itemsize],
                resident,
                persistent,
                at_once,
            )
            found.append(((not persistent, cost, block_units), how))
    return min(found, key=lambda item: item[0])[1]
