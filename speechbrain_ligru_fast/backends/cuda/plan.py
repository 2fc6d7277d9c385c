"""Which kernel runs a scan: tier, tile and where the weights stay.

Plain arithmetic over the device's limits, so that it can be read and tested
without a GPU. The cost model orders the candidates; most of its constants are
estimates from published latencies (docs/reference/kernels.md).
"""

import itertools
from dataclasses import dataclass

# Bytes of one element of the product's operands.
ELEMENT = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2}
# Codes of enum Type in kernels/layout.cuh.
TYPES = {"fp32": 0, "tf32": 1, "fp16": 2, "bf16": 3}

_BLOCK = 64
_UNITS = (16, 32, 64, 128)
_SPLITS = (1, 2, 4, 8)
_ROWS = (8, 16, 24, 32)
_CLUSTERS = (1, 2, 4, 8, 16)
_PARTS = (1, 2, 4, 8)
_MAX_WARPS = 8

# Cycles of one exchange, and bytes that an SM reads per cycle: of weights, and
# of words that others have just written. The grid's numbers are fitted to an
# H200's rows, in which its steps took twice as long as those of clusters with
# the same estimate.
_EXCHANGE = {"cluster": 500, "grid": 4000}
_L2_BYTES = 40
_EXCHANGED_BYTES = 20
# Cycles that one warp takes for a block of 8 rows, waiting for itself.
_SERIAL = 32
_SHARED_BYTES = 128


@dataclass(frozen=True)
class Limits:
    """What a device can hold.

    Arguments
    ---------
    capability : tuple
        Compute capability, major and minor.
    processors : int
        Streaming multiprocessors.
    shared_bytes : int
        Most shared memory of a block, opted in.
    cluster : int
        Largest cluster to try, 1 without clusters.
    resident : tuple
        Pairs of a cluster's size and how many the driver says can run at
        once, where it has been asked.
    """

    capability: tuple
    processors: int
    shared_bytes: int
    cluster: int = 1
    resident: tuple = ()

    def groups(self, tier, group):
        """Groups of CTAs that can run at once, one CTA per processor."""
        if tier == "cluster":
            known = dict(self.resident)
            if group in known:
                return known[group]
        return self.processors // group


@dataclass(frozen=True)
class Plan:
    """One kernel's sizes; kernels/layout.cuh explains them.

    Arguments
    ---------
    tier : str
        cluster (exchange through distributed shared memory) or grid (L2).
    operand : str
        Type of the product's operands.
    backward : bool
        Whether it is the backward kernel.
    layernorm : bool
        Whether it is SLiGRU's.
    group : int
        CTAs that hold U together: the cluster's size in the cluster tier.
    units : int
        Hidden units of a CTA.
    splits : int
        Warps that share K in the forward.
    rows : int
        Rows of a tile.
    groups : int
        Groups that run at once.
    held : int
        64-byte blocks of weights per warp and row in registers.
    kept : int
        The same in shared memory; the rest is read from L2.
    parts : int
        Pieces in which a tile's operand passes through shared memory.
    """

    tier: str
    operand: str
    backward: bool
    layernorm: bool
    group: int
    units: int
    splits: int
    rows: int
    groups: int = 1
    held: int = 0
    kept: int = 0
    parts: int = 1

    @property
    def padded(self):
        """Hidden units including the padding."""
        return self.group * self.units

    @property
    def warps(self):
        """Warps of a CTA."""
        return self.units // 8 * self.splits

    @property
    def threads(self):
        """Threads of a CTA."""
        return 32 * self.warps

    @property
    def segments(self):
        """Vectors of H that a step exchanges: h, or both gates' gradients."""
        return 2 if self.backward else 1

    @property
    def row_bytes(self):
        """Bytes of one row of the operand."""
        return self.segments * self.padded * ELEMENT[self.operand]

    @property
    def blocks(self):
        """64-byte blocks of K that a warp multiplies."""
        return self.padded * ELEMENT[self.operand] // _BLOCK // self.splits

    @property
    def registers(self):
        """Registers that a thread may use."""
        return min(255, 65536 // self.threads // 8 * 8)

    @property
    def base_shared_bytes(self):
        """Shared memory without weights."""
        stride = (self.row_bytes // _BLOCK // self.parts | 1) * _BLOCK
        buffers = 2 if self.tier == "cluster" else 1
        element = ELEMENT[self.operand]
        m_tiles = self.units // (16 if self.backward else 8)
        pieces = max(1, self.units // 32)
        stats = 8 * self.rows * self.group * pieces if self.layernorm else 0
        moments = 8 * self.rows if self.layernorm else 0
        stage = self.segments * self.rows * self.units * element
        partial = self.warps // m_tiles * self.rows * (16 * m_tiles + 4) * 4
        return (
            buffers * (self.rows * stride + stats)
            + stage + partial + moments + 32
        )  # fmt: skip

    @property
    def shared_bytes(self):
        """Dynamic shared memory of a CTA."""
        return self.base_shared_bytes + self.kept * self.warps * 1024

    @property
    def word_bytes(self):
        """Global memory of the grid tier's exchange: of states, of sums."""
        if self.tier == "cluster":
            return 0, 0
        pieces = max(1, self.units // 32)
        sums = self.rows * self.group * pieces * 16 if self.layernorm else 0
        return (
            2 * self.groups * 2 * self.rows * self.row_bytes,
            2 * self.groups * sums,
        )

    def cycles(self, tiles):
        """Estimated cycles of a step; orders plans, predicts nothing."""
        work = self.units * self.segments * self.padded * self.rows
        if not self.backward:
            work *= 2
        # Multiply-adds of an SM per cycle.
        rate = {"fp32": 64, "tf32": 256}.get(self.operand, 512)
        elsewhere = self.blocks - self.held - self.kept
        block = self.warps * 1024
        cycles = (
            _EXCHANGE[self.tier] * (2 if self.layernorm else 1)
            + work / rate
            + _SERIAL * self.blocks * self.rows / 8
            + self.kept * block / _SHARED_BYTES
            + elsewhere * block / _L2_BYTES
        )
        if self.tier == "grid":
            cycles += 2 * self.rows * self.row_bytes / _EXCHANGED_BYTES
        return cycles * -(-tiles // self.groups)

    def describe(self):
        """One line for a report."""
        where = [
            f"{count} of {self.blocks} in {place}"
            for count, place in (
                (self.held, "registers"),
                (self.kept, "shared memory"),
                (self.blocks - self.held - self.kept, "L2"),
            )
            if count
        ]
        return (
            f"{self.tier} tier, {self.operand}: {self.groups} x {self.group} "
            f"CTAs of {self.units} units and {self.threads} threads, "
            f"{self.rows} rows a tile, up to {self.registers} registers, "
            f"{self.shared_bytes} bytes of shared memory; weights "
            + ", ".join(where)
            + (f"; operand in {self.parts} parts" if self.parts > 1 else "")
        )

    def macros(self):
        """What kernels/layout.cuh expects to be defined, by name."""
        return {
            "PADDED": self.padded,
            "GROUP": self.group,
            "UNITS": self.units,
            "SPLITS": self.splits,
            "ROWS": self.rows,
            "CLUSTER": int(self.tier == "cluster"),
            "OPERAND": TYPES[self.operand],
            "HELD": self.held,
            "KEPT": self.kept,
            "PARTS": self.parts,
            "LAYERNORM": int(self.layernorm),
            "BACKWARD": int(self.backward),
            "PLANNED_SHARED": self.shared_bytes,
            "PLANNED_THREADS": self.threads,
        }


def _other_registers(plan):
    """Registers for all but the weights, fitted to what ptxas reports.

    An upper bound: tests/backends/cuda/test_build.py shows that nothing spills.
    """
    owned = -(-plan.rows * plan.units // plan.threads)
    count = 78 + 1.2 * plan.rows + 14 * owned
    if plan.layernorm:
        count += 18
    if plan.tier == "grid":
        count += 30
    if plan.operand == "fp32":
        count += 2 * plan.rows
    return int(count)


# Two blocks that a loop over shared memory or L2 has in flight.
_STREAM = 16


def _place_weights(fields, limits):
    """Fills registers, then shared memory; None if even these don't fit."""
    plan = Plan(**fields)
    shared = limits.shared_bytes - plan.base_shared_bytes
    registers = plan.registers - _other_registers(plan)
    if shared < 0 or registers < 0:
        return None
    held = registers // 8
    if held < plan.blocks:
        if registers < _STREAM:
            return None
        held = (registers - _STREAM) // 8
    held = min(plan.blocks, held)
    kept = min(plan.blocks - held, shared // (plan.warps * 1024))
    return Plan(**{**fields, "held": held, "kept": kept})


def _candidates(hidden, rows, operand, limits, backward, layernorm, parts):
    """Yields pairs of estimated cycles and a plan that fits."""
    for units, splits, tile in itertools.product(_UNITS, _SPLITS, _ROWS):
        if units // 8 * splits > _MAX_WARPS * (2 if units == 128 else 1):
            continue
        tiles = -(-rows // tile)
        least = -(-hidden // units)
        sizes = [
            ("cluster", group)
            for group in _CLUSTERS
            if least <= group <= limits.cluster
            and parts == 1
            and limits.capability >= (9, 0)
            and limits.groups("cluster", group) > 0
        ][:1] + [("grid", least)]
        for tier, group in sizes:
            groups = min(tiles, limits.groups(tier, group))
            per_split = group * units * ELEMENT[operand] // _BLOCK
            if groups == 0 or per_split == 0 or per_split % splits:
                continue
            if group * units * ELEMENT[operand] % _BLOCK:
                continue
            fields = dict(
                tier=tier, operand=operand, backward=backward,
                layernorm=layernorm, group=group, units=units, splits=splits,
                rows=tile, groups=groups, parts=parts,
            )  # fmt: skip
            if Plan(**fields).blocks % parts:
                continue
            candidate = _place_weights(fields, limits)
            if candidate is not None:
                yield candidate.cycles(tiles), candidate


def plan(hidden, rows, operand, limits, backward=False, layernorm=False):
    """Chooses the kernel for a scan.

    Arguments
    ---------
    hidden : int
        Hidden units.
    rows : int
        Rows: utterances times directions.
    operand : str
        fp32, tf32, fp16 or bf16.
    limits : Limits
        Of the device.
    backward : bool
        Whether to plan the backward kernel.
    layernorm : bool
        Whether to plan SLiGRU's.

    Returns
    -------
    Plan | None
        None if no kernel can hold this size on this device.

    Example
    -------
    >>> h100 = Limits((9, 0), 132, 232448, 16)
    >>> plan(512, 16, "bf16", h100).tier
    'cluster'
    >>> plan(2048, 32, "bf16", h100).tier
    'grid'
    """
    for parts in _PARTS:
        found = _candidates(
            hidden, rows, operand, limits, backward, layernorm, parts
        )
        # The first of equals: fewer units and splits, smaller tiles.
        best = min(found, key=lambda pair: pair[0], default=None)
        # A part more is a wait more: only where nothing else fits.
        if best is not None:
            return best[1]
    return None
