"""Reads and writes at addresses, for the loops.

Every intrinsic on a vector takes a scalar ``real`` first, whose type selects
the arithmetic; addresses are int64.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from speechbrain_ligru_fast.backends.numba.cpu.vectors import (
    I32,
    I64,
    Vector,
    call,
    load,
    pointer_to,
    splat,
    store,
    vector_type,
)


@intrinsic
def add_vector(typingctx, real, target, addend):
    """target += addend."""

    def generate(context, builder, signature, arguments):
        kind = vector_type(real)
        a, b = (load(builder, x, kind) for x in arguments[1:])
        store(a + b, arguments[1])
        return context.get_dummy_value()

    return types.void(real, types.int64, types.int64), generate


@intrinsic
def copy_vector(typingctx, real, target, source):
    """target = source."""

    def generate(context, builder, signature, arguments):
        kind = vector_type(real)
        store(load(builder, arguments[2], kind), arguments[1])
        return context.get_dummy_value()

    return types.void(real, types.int64, types.int64), generate


@intrinsic
def zero_vector(typingctx, real, target):
    """target = 0."""

    def generate(context, builder, signature, arguments):
        kind = vector_type(real)
        zero = ir.Constant(kind, [0.0] * kind.count)
        store(Vector(builder, zero), arguments[1])
        return context.get_dummy_value()

    return types.void(real, types.int64), generate


@intrinsic
def keep_lanes(typingctx, real, target, count):
    """Zeros in all lanes of a vector but the first ``count``."""

    def generate(context, builder, signature, arguments):
        _, target, count = arguments
        kind = vector_type(real)
        limit = splat(builder, count, ir.VectorType(I64, kind.count)).value
        lane = ir.Constant(limit.type, list(range(kind.count)))
        kept = builder.icmp_signed("<", lane, limit)
        zero = ir.Constant(kind, [0.0] * kind.count)
        value = load(builder, target, kind).value
        store(Vector(builder, builder.select(kept, value, zero)), target)
        return context.get_dummy_value()

    return types.void(real, types.int64, types.int64), generate


@intrinsic
def load_real(typingctx, real, address):
    """The number at an address."""

    def generate(context, builder, signature, arguments):
        element = vector_type(real).element
        return builder.load(pointer_to(builder, arguments[1], 0, element))

    return real(real, types.int64), generate


@intrinsic
def store_real(typingctx, real, address, value):
    """Writes a number to an address."""

    def generate(context, builder, signature, arguments):
        pointer = pointer_to(builder, arguments[1], 0, arguments[2].type)
        builder.store(arguments[2], pointer)
        return context.get_dummy_value()

    return types.void(real, types.int64, real), generate


@intrinsic
def load_int(typingctx, address):
    """The int64 at an address."""

    def generate(context, builder, signature, arguments):
        return builder.load(pointer_to(builder, arguments[0], 0, I64))

    return types.int64(types.int64), generate


@intrinsic
def store_int(typingctx, address, value):
    """Writes an int64 to an address."""

    def generate(context, builder, signature, arguments):
        pointer = pointer_to(builder, arguments[0], 0, I64)
        builder.store(arguments[1], pointer)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def prefetch(typingctx, address):
    """Asks the caches for the line at an address."""

    def generate(context, builder, signature, arguments):
        byte = ir.IntType(8).as_pointer()
        pointer = builder.inttoptr(arguments[0], byte)
        read, keep, data = (ir.Constant(I32, i) for i in (0, 3, 1))
        call(builder, "llvm.prefetch.p0", pointer, read, keep, data)
        return context.get_dummy_value()

    return types.void(types.int64), generate
