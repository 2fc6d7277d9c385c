"""What products read: numbers as they are, or words of bfloat16.

Two bfloat16 numbers of consecutive k make a *word* of 32 bits, so that a
buffer of words looks as one of float32 does, half as deep. ``element`` says
by its type what a loop is compiled for: ``TILE``, words that a matrix unit
multiplies, ``WORD``, words that an instruction for vectors multiplies, or the
arithmetic's own type.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from speechbrain_ligru_fast.backends.numba.cpu import vectors

TILE, WORD = np.uint32, np.int32


def is_word(element):
    """Whether a Numba type stands for words of bfloat16."""
    return element in (types.uint32, types.int32)


def is_tile(element):
    """Whether it stands for those of a matrix unit."""
    return element == types.uint32


def _says(question):
    """An intrinsic: 1 where a type answers yes, else 0."""

    @intrinsic
    def answer(typingctx, element):
        def generate(context, builder, signature, arguments):
            return ir.Constant(vectors.I64, int(question(element)))

        return types.int64(element), generate

    return answer


# How often k is halved; whether the matrix unit multiplies.
narrow, tiled = _says(is_word), _says(is_tile)


def _round(builder, vector):
    """A float32 vector as bfloat16 bits, to nearest, ties to even."""
    count = vector.type.count
    wide = ir.VectorType(ir.IntType(32), count)

    def constant(number):
        return ir.Constant(wide, [number] * count)

    bits = builder.bitcast(vector, wide)
    upper = builder.lshr(bits, constant(16))
    odd = builder.and_(upper, constant(1))
    rounded = builder.add(builder.add(bits, constant(0x7FFF)), odd)
    rounded = builder.lshr(rounded, constant(16))
    # The addition would make an infinity, or a number, of some NaNs.
    is_nan = builder.fcmp_unordered("uno", vector, vector)
    quiet = builder.or_(upper, constant(0x40))
    chosen = builder.select(is_nan, quiet, rounded)
    return builder.trunc(chosen, ir.VectorType(ir.IntType(16), count))


@intrinsic
def store(typingctx, real, element, target, source):
    """Makes a vector of numbers an operand of the next product."""

    def generate(context, builder, signature, arguments):
        target, source = arguments[2:]
        vector = vectors.load(builder, source, vectors.vector_type(real))
        if not is_word(element):
            vectors.store(vector, target)
            return context.get_dummy_value()
        half = _round(builder, vector.value)
        place = vectors.pointer_to(builder, target, 0, half.type)
        builder.store(half, place).align = 2
        return context.get_dummy_value()

    return types.void(real, element, types.int64, types.int64), generate


@intrinsic
def zero(typingctx, real, element, target):
    """Zeros in place of a vector of an operand."""

    def generate(context, builder, signature, arguments):
        kind = vectors.vector_type(real)
        if is_word(element):
            kind = ir.VectorType(ir.IntType(16), kind.count)
        value = ir.Constant(kind, [0] * kind.count)
        place = vectors.pointer_to(builder, arguments[2], 0, kind)
        builder.store(value, place).align = 2
        return context.get_dummy_value()

    return types.void(real, element, types.int64), generate
