"""The scans that the GPU suite verifies, as data."""

import itertools
from dataclasses import dataclass

# Types of the products' operands and of input and output.
TYPES = (("fp32", "fp32"), ("bf16", "fp32"), ("bf16", "bf16"), ("fp16", "fp16"))


@dataclass(frozen=True)
class Trial:
    """One scan.

    Arguments
    ---------
    what : str
        Says so in a line about it.
    options : dict
        Of ``scans.draw``.
    operand, io : str
        Types of the products' operands, and of input and output.
    tf32 : bool
        Whether float32 operands may be rounded to TF32.
    """

    what: str
    options: dict
    operand: str
    io: str
    tf32: bool = False


def small(plan):
    """A few steps of each tier in each type.

    No kinks, see ``checks.options``.
    """
    return tuple(
        Trial(
            f"small {operand}/{io} H{hidden}{', tf32 allowed' * tf32}",
            dict(hidden=hidden, directions=2, nonlinearity="tanh"),
            operand,
            io,
            tf32,
        )
        for hidden in plan.small
        for (operand, io), tf32 in (
            *((types, False) for types in TYPES),
            (TYPES[0], True),
        )
    )


def options(plan):
    """Every option at small odd sizes; the types take turns."""
    return tuple(
        Trial(f"{operand}/{io} {chosen}", chosen, operand, io)
        for chosen, (operand, io) in zip(plan.options, itertools.cycle(TYPES))
    )


def recompute(plan):
    """A few of the options with gates that the backward computes again."""
    # Coprime with every option's count: each value stays in.
    chosen = plan.options[::5]
    return tuple(
        Trial(
            f"recompute {operand}/{io} {given}",
            {**given, "nonlinearity": "tanh", "recompute": True},
            operand,
            io,
        )
        for given, (operand, io) in zip(chosen, itertools.cycle(TYPES))
    )


def _sized(size, **more):
    """Options of a scan of one of a plan's sizes."""
    names = ("hidden", "batch", "directions", "steps")
    return {**dict(zip(names, size)), **more}


def single_launches(plan):
    """The same kind of scan three times, LiGRU and SLiGRU."""
    return tuple(
        Trial(
            f"launch per step, layernorm {layernorm}, turn {turn}",
            _sized(plan.sizes[0], layernorm=layernorm, lengths=True, h0=True),
            "bf16",
            "fp32",
        )
        for layernorm in (False, True)
        for turn in range(3)
    )


def sizes(plan):
    """Larger scans, LiGRU and SLiGRU, exact and with TF32."""
    return tuple(
        Trial(
            f"{operand}/{io} H{hidden} B{batch}x{directions} T{steps}"
            f"{', LayerNorm' * layernorm}{', tf32 allowed' * tf32}",
            _sized(
                (hidden, batch, directions, steps),
                layernorm=layernorm,
                h0=True,
                nonlinearity="tanh",
            ),
            operand,
            io,
            tf32,
        )
        for hidden, batch, directions, steps in plan.sizes
        for layernorm in (False, True)
        for (operand, io), tf32 in (
            (TYPES[0], False),
            (TYPES[1], False),
            (TYPES[0], True),
        )
    )


def timed(cases):
    """A step of each layer that is timed, in each type, LiGRU and SLiGRU.

    They ask for the kernels of all its steps.

    Arguments
    ---------
    cases : iterable of Case
        Layers.
    """
    shapes = dict.fromkeys((c.hidden, c.batch, c.directions) for c in cases)
    return tuple(
        Trial(
            f"{operand} H{hidden} B{batch}x{directions}",
            dict(
                hidden=hidden,
                batch=batch,
                steps=1,
                directions=directions,
                layernorm=layernorm,
            ),
            operand,
            "fp32",
            tf32,
        )
        for hidden, batch, directions in shapes
        for layernorm in (False, True)
        for operand, tf32 in (
            ("bf16", False),
            ("fp16", False),
            ("fp32", True),
            ("fp32", False),
        )
    )
