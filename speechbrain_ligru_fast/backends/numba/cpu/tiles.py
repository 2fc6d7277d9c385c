"""Products of a packed panel of weights with a block of rows, in registers.

Every intrinsic takes a scalar first, whose type selects the arithmetic;
addresses are int64.
"""

import functools

from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from speechbrain_ligru_fast.backends.numba.cpu.operands import is_tile, is_word
from speechbrain_ligru_fast.backends.numba.cpu.vectors import (
    I32,
    I64,
    VECTOR_BYTES,
    Vector,
    lanes,
    load,
    pointer_to,
    splat,
    store,
    vector_type,
)

# Rows a tile holds: 2 x 8 accumulators fill AVX-512's 32 registers well
# enough to run at the multipliers' rate; 16 registers hold 2 x 4.
TILE_ROWS = 8 if VECTOR_BYTES == 64 else 4
SMALL_TILE_ROWS = 4
# Vectors of weights that a tile multiplies at once: candidate and gate of
# the same units (forward), or two vectors of units (backward).
TILE_VECTORS = 2


# Of two vectors of words, to a sum of float32: AVX512-BF16.
_DOT = "llvm.x86.avx512bf16.dpbf16ps.512"


@functools.cache
def compiles_dots():
    """Whether Numba's target does: NUMBA_CPU_NAME may name a lesser CPU.

    LLVM ends the process where it does not.
    """
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return VECTOR_BYTES == 64 and "+avx512bf16" in features.split(",")


def _multiply_add(builder, element, a, b, total):
    """total + a * b; of words, the sum of both products in each."""
    if not is_word(element):
        factor, addend = Vector(builder, b), Vector(builder, total)
        return Vector(builder, a).fma(factor, addend).value
    module = builder.module
    function = module.globals.get(_DOT) or ir.Function(
        module, ir.FunctionType(total.type, [total.type, a.type, b.type]), _DOT
    )
    return builder.call(function, [total, a, b])


def _gemm(rows):
    """The tile product for a block of ``rows`` rows."""

    @intrinsic
    def gemm(typingctx, element, weights, operand, out, groups, stride):
        """out = weights x operand.

        weights: packed panel, per k ``TILE_VECTORS`` vectors. operand: per
        group of ``lanes`` values of k, ``stride`` bytes apart, ``lanes``
        consecutive k of each row. out: [TILE_VECTORS][rows][lanes]. Of words,
        a k is two, and out is float32.
        """
        n = lanes(element)
        size = element.bitwidth // 8

        def generate(context, builder, signature, arguments):
            if is_tile(element):  # It goes to amx.py.
                return context.get_dummy_value()
            _, weights, operand, out, groups, stride = arguments
            read, kind = vector_type(element), vector_type(element)
            if is_word(element):
                read, kind = ir.VectorType(I32, n), vector_type(types.float32)
            before = builder.block
            loop = builder.append_basic_block("groups")
            after = builder.append_basic_block("after")
            builder.branch(loop)
            builder.position_at_end(loop)
            left = builder.phi(I64)
            w_at = builder.phi(I64)
            x_at = builder.phi(I64)
            start = [
                [builder.phi(kind) for _ in range(rows)]
                for _ in range(TILE_VECTORS)
            ]
            total = [list(sums) for sums in start]
            for k in range(n):
                w = []
                for v in range(TILE_VECTORS):
                    offset = (k * TILE_VECTORS + v) * VECTOR_BYTES
                    pointer = pointer_to(builder, w_at, offset, read)
                    w.append(builder.load(pointer))
                    w[-1].align = VECTOR_BYTES
                for r in range(rows):
                    pointer = pointer_to(
                        builder, x_at, (r * n + k) * size, read.element
                    )
                    x = splat(builder, builder.load(pointer), read).value
                    for v in range(TILE_VECTORS):
                        total[v][r] = _multiply_add(
                            builder, element, w[v], x, total[v][r]
                        )
            rest = builder.sub(left, ir.Constant(I64, 1))
            w_next = builder.add(
                w_at, ir.Constant(I64, n * TILE_VECTORS * VECTOR_BYTES)
            )
            x_next = builder.add(x_at, stride)
            more = builder.icmp_signed(">", rest, ir.Constant(I64, 0))
            builder.cbranch(more, loop, after)
            for phi, first, later in (
                (left, groups, rest),
                (w_at, weights, w_next),
                (x_at, operand, x_next),
            ):
                phi.add_incoming(first, before)
                phi.add_incoming(later, loop)
            zero = ir.Constant(kind, [0.0] * n)
            for v in range(TILE_VECTORS):
                for r in range(rows):
                    start[v][r].add_incoming(zero, before)
                    start[v][r].add_incoming(total[v][r], loop)
            builder.position_at_end(after)
            for v in range(TILE_VECTORS):
                for r in range(rows):
                    offset = (v * rows + r) * VECTOR_BYTES
                    pointer = pointer_to(builder, out, offset, kind)
                    stored = builder.store(total[v][r], pointer)
                    stored.align = VECTOR_BYTES
            return context.get_dummy_value()

        return types.void(element, *[types.int64] * 5), generate

    return gemm


gemm_tile = _gemm(TILE_ROWS)
gemm_small_tile = _gemm(SMALL_TILE_ROWS)


@intrinsic
def transpose_block(typingctx, real, source, stride, target, target_stride):
    """Transposes a square of ``lanes`` x ``lanes`` numbers.

    Strides are the distances between vectors, in bytes.
    """

    def generate(context, builder, signature, arguments):
        source, stride, target, target_stride = arguments[1:]
        kind = vector_type(real)
        n = kind.count

        def place(base, step, i):
            return builder.add(base, builder.mul(step, ir.Constant(I64, i)))

        vectors = [
            load(builder, place(source, stride, i), kind).value
            for i in range(n)
        ]
        # log2(n) rounds of interleaving the lower with the upper half.
        order = ir.VectorType(I32, n)
        low = [lane // 2 + n * (lane % 2) for lane in range(n)]
        high = [lane + n // 2 for lane in low]
        for _ in range(n.bit_length() - 1):
            mixed = []
            for i in range(n // 2):
                for lane_order in (low, high):
                    mixed.append(
                        builder.shuffle_vector(
                            vectors[i],
                            vectors[i + n // 2],
                            ir.Constant(order, lane_order),
                        )
                    )
            vectors = mixed
        for i, value in enumerate(vectors):
            store(Vector(builder, value), place(target, target_stride, i))
        return context.get_dummy_value()

    return types.void(real, *[types.int64] * 4), generate
