"""Triton's interpreter, made to run these kernels exactly and quickly.

These tests need TRITON_INTERPRET=1 before anything imports Triton, hence a
process of their own: tests/backends/triton/test_triton.py starts it.
"""

import types

import numpy
import pytest
import torch
import triton.language as tl
from triton.runtime import interpreter

from speechbrain_ligru_fast.backends import triton
from speechbrain_ligru_fast.backends.triton.plan import Plan

BUILDER = interpreter.interpreter_builder


class _Patch:
    """The interpreter's patches of triton.language, applied once a launch.

    It applies them all again at each call of a device function, which takes
    longer than most functions.
    """

    def __init__(self):
        self.apply = interpreter._patch_lang
        self.scope = None

    def __call__(self, function):
        if self.scope is not None:
            return types.SimpleNamespace(restore=lambda: None)
        modules = types.SimpleNamespace(__globals__={"a": tl, "b": tl.core})
        self.scope = self.apply(modules)
        return self

    def restore(self):
        self.scope.restore()
        self.scope = None


@pytest.fixture(autouse=True)
def exact_interpreter(monkeypatch):
    """bfloat16 rounded to nearest and multiplied as such, masks of bools.

    The interpreter holds bfloat16 as integers, truncates when it converts
    and multiplies the integers. A comparison of two numbers it spreads over
    a block as int32, and Triton 3.9 refuses the mask that becomes of it.
    """
    convert, dot = BUILDER.cast_impl, BUILDER.create_dot
    splat, Handle = BUILDER.create_splat, interpreter.TensorHandle

    def cast_impl(source, target):
        kinds = source.dtype.scalar, target.scalar
        if kinds == (tl.float32, tl.bfloat16):
            values = torch.from_numpy(numpy.ascontiguousarray(source.data))
            bits = values.bfloat16().view(torch.uint16).numpy()
            return Handle(bits, tl.bfloat16)
        return convert(source, target)

    def widened(x):
        bits = x.data.astype(numpy.uint32) << 16
        return Handle(bits.view(numpy.float32), tl.float32)

    def create_dot(a, b, *rest):
        if a.dtype.scalar == tl.bfloat16:
            a, b = widened(a), widened(b)
        return dot(a, b, *rest)

    def create_splat(kind, value):
        if value.data.dtype == bool:
            return Handle(numpy.full(kind.shape, value.data), tl.int1)
        return splat(kind, value)

    # A check of each sum and product for overflow, which sizes this small
    # don't come to, takes half of the time.
    options = interpreter.InterpreterOptions(sanitize_overflow=False)
    for name, value in dict(
        options=options, create_splat=create_splat, create_dot=create_dot,
        cast_impl=cast_impl, create_fp_trunc=cast_impl,
    ).items():  # fmt: skip
        monkeypatch.setattr(BUILDER, name, value)
    monkeypatch.setattr(interpreter, "_patch_lang", _Patch())


@pytest.fixture
def planned(monkeypatch):
    """Has every scan planned small, in a launch mode.

    Persistent plans of several tiles need a Machine.
    """

    def plan_as(rows=16, resident=True, persistent=True):
        def plan(device, hidden, *_, backward=False):
            width = hidden * (2 if backward else 1)
            share = 16
            while resident and 2 * share < width:
                share *= 2
            return Plan(rows, 16, 2, share, resident, persistent, 2)

        monkeypatch.setattr(triton, "plan", plan)

    return plan_as
