"""Products of bfloat16 on x86's matrix unit, AMX, as LLVM IR.

A tile register holds 16 rows of 64 bytes. One instruction adds the product of
a tile of states (16 rows of the batch, 32 units each) with a tile of weights
(16 pairs of units, 16 columns) to a tile of 16 x 16 float32 sums.

What it reads is laid out in words, as operands.py says.

Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1,
chapter 18, and volume 2: LDTILECFG, TDPBF16PS.
"""

import functools

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from speechbrain_ligru_fast.backends.numba.cpu.operands import is_tile
from speechbrain_ligru_fast.backends.numba.cpu.vectors import (
    I64,
    VECTOR_BYTES,
    call,
)

TILE_ROWS = 16
_ROW_BYTES = 64
CONFIG_BYTES = 64

_I8 = ir.IntType(8)


def _config():
    """Palette 1, all eight tiles whole."""
    config = np.zeros(CONFIG_BYTES, np.uint8)
    config[0] = 1
    config[16:32].view(np.uint16)[:] = _ROW_BYTES
    config[48:56] = TILE_ROWS
    return config


CONFIG = _config()


@functools.cache
def compiles():
    """Whether Numba's target has the unit: NUMBA_CPU_NAME may name a lesser.

    LLVM ends the process where it has not.
    """
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    wanted = {"+amx-tile", "+amx-bf16"}
    return VECTOR_BYTES == _ROW_BYTES and wanted <= set(features.split(","))


def _at(builder, address, offset=0):
    address = builder.add(address, ir.Constant(I64, offset))
    return builder.inttoptr(address, _I8.as_pointer())


def _tile(index):
    return ir.Constant(_I8, index)


@intrinsic
def begin(typingctx, element, config, kept):
    """Sets a thread's tiles up and keeps their old set-up."""

    def generate(context, builder, signature, arguments):
        if is_tile(element):
            _, config, kept = arguments
            call(builder, "llvm.x86.sttilecfg", _at(builder, kept))
            call(builder, "llvm.x86.ldtilecfg", _at(builder, config))
        return context.get_dummy_value()

    return types.void(element, types.int64, types.int64), generate


@intrinsic
def end(typingctx, element, kept):
    """Gives a thread's tiles back as ``begin`` found them."""

    def generate(context, builder, signature, arguments):
        if is_tile(element):
            kept = _at(builder, arguments[1])
            call(builder, "llvm.x86.ldtilecfg", kept)
        return context.get_dummy_value()

    return types.void(element, types.int64), generate


@intrinsic
def gemm_tile(typingctx, element, weights, operand, out, groups, stride):
    """out = weights x operand, for 16 rows of words.

    weights: packed panel, per word of k two vectors of 16 units. operand: per
    group of 16 words of k, ``stride`` bytes apart, the words of each row.
    out: [2][16 rows][16 units] float32.
    """

    def generate(context, builder, signature, arguments):
        if not is_tile(element):
            return context.get_dummy_value()
        weights, operand, out, groups, stride = arguments[1:]
        row = ir.Constant(I64, _ROW_BYTES)
        pair = ir.Constant(I64, 2 * _ROW_BYTES)
        sums, states, panel = (0, 1), 2, (3, 4)
        for tile in sums:
            call(builder, "llvm.x86.tilezero", _tile(tile))
        before = builder.block
        loop = builder.append_basic_block("groups")
        after = builder.append_basic_block("after")
        builder.branch(loop)
        builder.position_at_end(loop)
        left, w_at, x_at = (builder.phi(I64) for _ in range(3))
        load = "llvm.x86.tileloadd64"
        call(builder, load, _tile(states), _at(builder, x_at), row)
        for v in range(2):
            place = _at(builder, w_at, v * _ROW_BYTES)
            call(builder, load, _tile(panel[v]), place, pair)
            tiles = map(_tile, (sums[v], states, panel[v]))
            call(builder, "llvm.x86.tdpbf16ps", *tiles)
        step = ir.Constant(I64, TILE_ROWS * 2 * _ROW_BYTES)
        rest = builder.sub(left, ir.Constant(I64, 1))
        for phi, first, later in (
            (left, groups, rest),
            (w_at, weights, builder.add(w_at, step)),
            (x_at, operand, builder.add(x_at, stride)),
        ):
            phi.add_incoming(first, before)
            phi.add_incoming(later, loop)
        more = builder.icmp_signed(">", rest, ir.Constant(I64, 0))
        builder.cbranch(more, loop, after)
        builder.position_at_end(after)
        for v in range(2):
            place = _at(builder, out, v * TILE_ROWS * _ROW_BYTES)
            call(builder, "llvm.x86.tilestored64", _tile(sums[v]), place, row)
        return context.get_dummy_value()

    return types.void(element, *[types.int64] * 5), generate
