"""Vectors of numbers in LLVM IR, for the intrinsics that loops call.

Numba compiles loops well but can't be told to keep a matrix tile in
registers, nor to call a vector exp. Its intrinsics can, in LLVM IR.

Pointers are addresses held in int64. ``real`` is a Numba float type, float32
or float64, that selects the arithmetic.
"""

from llvmlite import ir
from numba import types

from speechbrain_ligru_fast.backends.numba.cpu import target

I32, I64 = ir.IntType(32), ir.IntType(64)
VECTOR_BYTES = target.vector_bytes()
# The other is one instruction, or two where there is none.
_FMA = "fma" if target.fuses() else "fmuladd"


class Vector:
    """Operators on an LLVM vector value, so that equations read as such."""

    def __init__(self, builder, value):
        self.builder = builder
        self.value = value

    def _of(self, value):
        return Vector(self.builder, value)

    def constant(self, number):
        t = self.value.type
        return self._of(ir.Constant(t, [number] * t.count))

    def _value(self, other):
        if isinstance(other, Vector):
            return other.value
        return self.constant(other).value

    def __add__(self, other):
        return self._of(self.builder.fadd(self.value, self._value(other)))

    def __sub__(self, other):
        return self._of(self.builder.fsub(self.value, self._value(other)))

    def __rsub__(self, other):
        return self.constant(other) - self

    def __mul__(self, other):
        return self._of(self.builder.fmul(self.value, self._value(other)))

    def __truediv__(self, other):
        return self._of(self.builder.fdiv(self.value, self._value(other)))

    def call(self, name, *others):
        """The LLVM intrinsic ``llvm.<name>``, lane by lane."""
        t = self.value.type
        kind = "f64" if is_double(t) else "f32"
        values = [self.value, *(self._value(o) for o in others)]
        full = f"llvm.{name}.v{t.count}{kind}"
        module = self.builder.module
        function = module.globals.get(full) or ir.Function(
            module, ir.FunctionType(t, [t] * len(values)), full
        )
        return self._of(self.builder.call(function, values))

    def fma(self, factor, addend):
        """self * factor + addend, rounded once if the target can."""
        return self.call(_FMA, factor, addend)

    def where(self, relation, bound, then, otherwise):
        """``then`` where ``self relation bound``; NaN: ``otherwise``."""
        chosen = self.builder.fcmp_ordered(
            relation, self.value, self._value(bound)
        )
        return self._of(
            self.builder.select(
                chosen, self._value(then), self._value(otherwise)
            )
        )

    def exp(self):
        """e to the power of self.

        float32: range reduction by ln 2 in two parts and a polynomial of
        degree 7 on [-ln2/2, ln2/2], within 2 units in the last place.
        float64: the C library's.
        """
        t = self.value.type
        if is_double(t):
            return self.call("exp")
        # Beyond the limits the result is infinite or 0; NaN stays.
        x = self.where(">", 88.8, 88.8, self)
        x = x.where("<", -87.3, -87.3, x)
        k = (x * 1.4426950408889634).call("rint")
        r = k.fma(-0.693359375, x)
        r = k.fma(2.12194440e-4, r)
        p = r.polynomial(
            1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1.0, 1.0
        )
        ints = ir.VectorType(I32, t.count)
        power = self.builder.fptosi(k.value, ints)
        power = self.builder.add(power, ir.Constant(ints, [127] * t.count))
        power = self.builder.shl(power, ir.Constant(ints, [23] * t.count))
        # A NaN has no integer; the polynomial carries it on.
        value = p * self._of(self.builder.bitcast(power, t))
        return self.where("<", -87.3, 0.0, value)

    def sigmoid(self):
        return self.constant(1.0) / ((0.0 - self).exp() + 1.0)

    def polynomial(self, *coefficients):
        """Of self, the highest power's coefficient first."""
        value = self.constant(coefficients[0])
        for coefficient in coefficients[1:]:
            value = value.fma(self, coefficient)
        return value

    def tanh(self):
        """Hyperbolic tangent; a polynomial near 0, where 1 - e cancels."""
        size = self.call("fabs")
        e = (size * -2.0).exp()
        far = ((1.0 - e) / (e + 1.0)).call("copysign", self)
        square = self * self
        # Cephes, tanhf.c and tanh.c: minimax on |x| < 0.625.
        if is_double(self.value.type):
            p = square.polynomial(
                -9.64399179425052238628e-1,
                -9.92877231001918586564e1,
                -1.61468768441708447952e3,
            ) / square.polynomial(
                1.0,
                1.12811678491632931402e2,
                2.23548839060100448583e3,
                4.84406305325125486048e3,
            )
        else:
            p = square.polynomial(
                -5.70498872745e-3,
                2.06390887954e-2,
                -5.37397155531e-2,
                1.33314422036e-1,
                -3.33332819422e-1,
            )
        near = (p * square).fma(self, self)
        return size.where("<", 0.625, near, far)

    def tanh_slope(self):
        """Derivative of tanh; 1 - tanh(x) ** 2 cancels away from 0."""
        e = (self.call("fabs") * -2.0).exp()
        sum_ = e + 1.0
        return e * 4.0 / (sum_ * sum_)


def is_double(vector_type):
    return isinstance(vector_type.element, ir.DoubleType)


def vector_type(real):
    element = ir.DoubleType() if real == types.float64 else ir.FloatType()
    return ir.VectorType(element, lanes(real))


def lanes(real):
    """Numbers of a Numba float type that one vector holds."""
    return VECTOR_BYTES // (real.bitwidth // 8)


def pointer_to(builder, address, offset, kind):
    if offset:
        address = builder.add(address, ir.Constant(I64, offset))
    return builder.inttoptr(address, kind.as_pointer())


def load(builder, address, kind):
    pointer = pointer_to(builder, address, 0, kind)
    value = builder.load(pointer)
    value.align = 8 if is_double(kind) else 4
    return Vector(builder, value)


def store(vector, address):
    kind = vector.value.type
    pointer = pointer_to(vector.builder, address, 0, kind)
    instruction = vector.builder.store(vector.value, pointer)
    instruction.align = 8 if is_double(kind) else 4


def splat(builder, scalar, kind):
    undefined = ir.Constant(kind, ir.Undefined)
    value = builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
    order = ir.Constant(ir.VectorType(I32, kind.count), [0] * kind.count)
    return Vector(builder, builder.shuffle_vector(value, undefined, order))


def doubles(builder, value):
    """The numbers of a vector as one or two vectors of float64."""
    double = vector_type(types.float64)
    count = value.type.count
    for first in range(0, count, double.count):
        order = range(first, first + double.count)
        indices = ir.Constant(ir.VectorType(I32, double.count), list(order))
        part = builder.shuffle_vector(value, value, indices)
        if not is_double(part.type):
            part = builder.fpext(part, double)
        yield Vector(builder, part)


def branches(builder, code, cases):
    """Vectors chosen by an integer: ``cases[i]()`` where code == i."""
    done = builder.append_basic_block("done")
    blocks = [builder.append_basic_block(f"case{i}") for i in range(len(cases))]
    switch = builder.switch(code, blocks[0])
    results = []
    for i, (block, case) in enumerate(zip(blocks, cases)):
        if i:
            switch.add_case(ir.Constant(I64, i), block)
        builder.position_at_end(block)
        values = case()
        results.append((values, builder.block))
        builder.branch(done)
    builder.position_at_end(done)
    chosen = []
    for j in range(len(results[0][0])):
        phi = builder.phi(results[0][0][j].value.type)
        for values, block in results:
            phi.add_incoming(values[j].value, block)
        chosen.append(Vector(builder, phi))
    return chosen


def call(builder, name, *arguments):
    """Calls an LLVM intrinsic that returns nothing."""
    module = builder.module
    function = module.globals.get(name) or ir.Function(
        module,
        ir.FunctionType(ir.VoidType(), [a.type for a in arguments]),
        name,
    )
    builder.call(function, arguments)
