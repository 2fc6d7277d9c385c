"""Vector code for the scan, written as LLVM IR through Numba intrinsics.

Numba compiles loops well but can't be told to keep a matrix tile in
registers, nor to call a vector exp. The intrinsics here do just that: ``gemm``
multiplies a packed panel of weights with a block of rows, the ``*_point``
intrinsics apply the gate equations to one vector of units of one row.
Everything else is ordinary Numba code in ``kernels.py``.

Pointers are addresses held in int64. Every intrinsic takes a scalar ``real``
first, whose type (float32 or float64) selects the arithmetic.
"""

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from speechbrain_ligru_fast.spec import LEAKY_SLOPE, NONLINEARITIES

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def _vector_bytes():
    features = {k for k, on in binding.get_host_cpu_features().items() if on}
    if "avx512f" in features:
        return 64
    return 32 if "avx2" in features else 16


VECTOR_BYTES = _vector_bytes()
# Rows a tile holds: 2 x 8 accumulators fill AVX-512's 32 registers well
# enough to run at the multipliers' rate; 16 registers hold 2 x 4.
TILE_ROWS = 8 if VECTOR_BYTES == 64 else 4
SMALL_TILE_ROWS = 4
# States smaller than this are set to 0.
_NEGLIGIBLE = 1e-30
# Vectors of weights that a tile multiplies at once: candidate and gate of
# the same units (forward), or two vectors of units (backward).
TILE_VECTORS = 2


class _Vector:
    """Operators on an LLVM vector value, so that equations read as such."""

    def __init__(self, builder, value):
        self.builder = builder
        self.value = value

    def _of(self, value):
        return _Vector(self.builder, value)

    def constant(self, number):
        t = self.value.type
        return self._of(ir.Constant(t, [number] * t.count))

    def _value(self, other):
        if isinstance(other, _Vector):
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
        kind = "f64" if _is_double(t) else "f32"
        values = [self.value, *(self._value(o) for o in others)]
        full = f"llvm.{name}.v{t.count}{kind}"
        module = self.builder.module
        function = module.globals.get(full) or ir.Function(
            module, ir.FunctionType(t, [t] * len(values)), full
        )
        return self._of(self.builder.call(function, values))

    def fma(self, factor, addend):
        """self * factor + addend, rounded once."""
        return self.call("fma", factor, addend)

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
        if _is_double(t):
            return self.call("exp")
        # Beyond the limits the result is infinite or negligible; NaN stays.
        x = self.where(">", 88.8, 88.8, self)
        x = x.where("<", -87.3, -87.3, x)
        k = (x * 1.4426950408889634).call("rint")
        r = k.fma(-0.693359375, x)
        r = k.fma(2.12194440e-4, r)
        p = self.constant(1 / 5040)
        for coefficient in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1.0, 1.0):
            p = p.fma(r, coefficient)
        ints = ir.VectorType(_I32, t.count)
        power = self.builder.fptosi(k.value, ints)
        power = self.builder.add(power, ir.Constant(ints, [127] * t.count))
        power = self.builder.shl(power, ir.Constant(ints, [23] * t.count))
        # A NaN has no integer; the polynomial carries it on.
        return p * self._of(self.builder.bitcast(power, t))

    def sigmoid(self):
        return self.constant(1.0) / ((0.0 - self).exp() + 1.0)

    def tanh(self):
        """Hyperbolic tangent; a polynomial near 0, where 1 - e cancels."""
        size = self.call("fabs")
        e = (size * -2.0).exp()
        far = ((1.0 - e) / (e + 1.0)).call("copysign", self)
        square = self * self
        # Cephes, tanhf.c: minimax on |x| < 0.625.
        p = self.constant(-5.70498872745e-3)
        for coefficient in (
            2.06390887954e-2,
            -5.37397155531e-2,
            1.33314422036e-1,
            -3.33332819422e-1,
        ):
            p = p.fma(square, coefficient)
        near = (p * square).fma(self, self)
        if _is_double(self.value.type):
            return far
        return size.where("<", 0.625, near, far)


def _is_double(vector_type):
    return isinstance(vector_type.element, ir.DoubleType)


def _vector_type(real):
    element = ir.DoubleType() if real == types.float64 else ir.FloatType()
    return ir.VectorType(element, lanes(real))


def lanes(real):
    """Numbers of a Numba float type that one vector holds."""
    return VECTOR_BYTES // (real.bitwidth // 8)


def _pointer(builder, address, offset, kind):
    if offset:
        address = builder.add(address, ir.Constant(_I64, offset))
    return builder.inttoptr(address, kind.as_pointer())


def _load(builder, address, kind):
    pointer = _pointer(builder, address, 0, kind)
    value = builder.load(pointer)
    value.align = 8 if _is_double(kind) else 4
    return _Vector(builder, value)


def _store(vector, address):
    kind = vector.value.type
    pointer = _pointer(vector.builder, address, 0, kind)
    instruction = vector.builder.store(vector.value, pointer)
    instruction.align = 8 if _is_double(kind) else 4


def _doubles(builder, value):
    """The numbers of a vector as one or two vectors of float64."""
    double = _vector_type(types.float64)
    count = value.type.count
    for first in range(0, count, double.count):
        order = range(first, first + double.count)
        indices = ir.Constant(ir.VectorType(_I32, double.count), list(order))
        part = builder.shuffle_vector(value, value, indices)
        if not _is_double(part.type):
            part = builder.fpext(part, double)
        yield _Vector(builder, part)


def _branches(builder, code, cases):
    """Vectors chosen by an integer: ``cases[i]()`` where code == i."""
    done = builder.append_basic_block("done")
    blocks = [builder.append_basic_block(f"case{i}") for i in range(len(cases))]
    switch = builder.switch(code, blocks[0])
    results = []
    for i, (block, case) in enumerate(zip(blocks, cases)):
        if i:
            switch.add_case(ir.Constant(_I64, i), block)
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
        chosen.append(_Vector(builder, phi))
    return chosen


def _activate(builder, code, a):
    """The candidate's activation; ``code`` indexes NONLINEARITIES."""
    cases = {
        "relu": lambda: [a.where("<=", 0.0, 0.0, a)],
        "tanh": lambda: [a.tanh()],
        "sin": lambda: [a.call("sin")],
        "leaky_relu": lambda: [a.where(">", 0.0, a, a * LEAKY_SLOPE)],
    }
    return _branches(builder, code, [cases[n] for n in NONLINEARITIES])[0]


def _activate_with_slope(builder, code, a):
    """The activation and its derivative."""

    def tanh():
        c = a.tanh()
        return [c, 1.0 - c * c]

    cases = {
        "relu": lambda: [
            a.where("<=", 0.0, 0.0, a),
            a.where(">", 0.0, 1.0, 0.0),
        ],
        "tanh": tanh,
        "sin": lambda: [a.call("sin"), a.call("cos")],
        "leaky_relu": lambda: [
            a.where(">", 0.0, a, a * LEAKY_SLOPE),
            a.where(">", 0.0, 1.0, LEAKY_SLOPE),
        ],
    }
    return _branches(builder, code, [cases[n] for n in NONLINEARITIES])


def _gemm(rows):
    """The tile product for a block of ``rows`` rows."""

    @intrinsic
    def gemm(typingctx, real, weights, operand, out, groups, stride):
        """out = weights x operand.

        weights: packed panel, per k ``TILE_VECTORS`` vectors. operand: per
        group of ``lanes`` values of k, ``stride`` bytes apart, ``lanes``
        consecutive k of each row. out: [TILE_VECTORS][rows][lanes].
        """
        n = lanes(real)
        size = real.bitwidth // 8

        def generate(context, builder, signature, arguments):
            _, weights, operand, out, groups, stride = arguments
            kind = _vector_type(real)
            before = builder.block
            loop = builder.append_basic_block("groups")
            after = builder.append_basic_block("after")
            builder.branch(loop)
            builder.position_at_end(loop)
            left = builder.phi(_I64)
            w_at = builder.phi(_I64)
            x_at = builder.phi(_I64)
            start = [
                [builder.phi(kind) for _ in range(rows)]
                for _ in range(TILE_VECTORS)
            ]
            total = [[_Vector(builder, v) for v in vs] for vs in start]
            for k in range(n):
                w = []
                for v in range(TILE_VECTORS):
                    offset = (k * TILE_VECTORS + v) * VECTOR_BYTES
                    pointer = _pointer(builder, w_at, offset, kind)
                    w.append(builder.load(pointer))
                    w[-1].align = VECTOR_BYTES
                for r in range(rows):
                    pointer = _pointer(
                        builder, x_at, (r * n + k) * size, kind.element
                    )
                    scalar = builder.load(pointer)
                    undefined = ir.Constant(kind, ir.Undefined)
                    x = builder.insert_element(
                        undefined, scalar, ir.Constant(_I32, 0)
                    )
                    x = builder.shuffle_vector(
                        x,
                        undefined,
                        ir.Constant(ir.VectorType(_I32, n), [0] * n),
                    )
                    for v in range(TILE_VECTORS):
                        total[v][r] = _Vector(builder, w[v]).fma(
                            _Vector(builder, x), total[v][r]
                        )
            rest = builder.sub(left, ir.Constant(_I64, 1))
            w_next = builder.add(
                w_at, ir.Constant(_I64, n * TILE_VECTORS * VECTOR_BYTES)
            )
            x_next = builder.add(x_at, stride)
            more = builder.icmp_signed(">", rest, ir.Constant(_I64, 0))
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
                    start[v][r].add_incoming(total[v][r].value, loop)
            builder.position_at_end(after)
            for v in range(TILE_VECTORS):
                for r in range(rows):
                    offset = (v * rows + r) * VECTOR_BYTES
                    pointer = _pointer(builder, out, offset, kind)
                    stored = builder.store(total[v][r].value, pointer)
                    stored.align = VECTOR_BYTES
            return context.get_dummy_value()

        return types.void(real, *[types.int64] * 5), generate

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
        kind = _vector_type(real)
        n = kind.count

        def place(base, step, i):
            return builder.add(base, builder.mul(step, ir.Constant(_I64, i)))

        vectors = [
            _load(builder, place(source, stride, i), kind).value
            for i in range(n)
        ]
        # log2(n) rounds of interleaving the lower with the upper half.
        order = ir.VectorType(_I32, n)
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
            _store(_Vector(builder, value), place(target, target_stride, i))
        return context.get_dummy_value()

    return types.void(real, *[types.int64] * 4), generate


@intrinsic
def forward_point(
    typingctx, real, code, pa, pz, wa, wz, h, mask, out, state, ga, gz
):
    """One step of one vector of units.

    Reads the recurrent projections pa, pz, the input projections wa, wz, the
    state h and the mask; writes the new state to out and state, and the
    candidate's pre-activation and the gate to ga and gz.
    """

    def generate(context, builder, signature, arguments):
        code, *addresses = arguments[1:]
        kind = _vector_type(real)
        pa, pz, wa, wz, h, mask = (
            _load(builder, address, kind) for address in addresses[:6]
        )
        out, state, ga, gz = addresses[6:]
        a = pa + wa
        z = (pz + wz).sigmoid()
        candidate = _activate(builder, code, a) * mask
        new = z * h + (1.0 - z) * candidate
        # A state that only decays would become subnormal in the end, which
        # slows every later product down several times.
        new = new.call("fabs").where("<", _NEGLIGIBLE, 0.0, new)
        _store(new, out)
        _store(new, state)
        _store(a, ga)
        _store(z, gz)
        return context.get_dummy_value()

    return types.void(real, *[types.int64] * 11), generate


@intrinsic
def backward_point(typingctx, real, code, grad, carry, a, z, h, mask, da, dz):
    """Gradient of one step of one vector of units.

    Reads the output's gradient, the carried gradient, the saved gates, the
    previous state and the mask; writes the gate gradients, and what the
    gate passes on to carry.
    """

    def generate(context, builder, signature, arguments):
        code, *addresses = arguments[1:]
        kind = _vector_type(real)
        grad, carried, a, z, h, mask = (
            _load(builder, address, kind) for address in addresses[:6]
        )
        carry = addresses[1]
        da, dz = addresses[6:]
        dh = grad + carried
        c, slope = _activate_with_slope(builder, code, a)
        open_ = 1.0 - z
        _store(dh * open_ * (slope * mask), da)
        _store(dh * (h - c * mask) * (z * open_), dz)
        _store(z * dh, carry)
        return context.get_dummy_value()

    return types.void(real, *[types.int64] * 9), generate


@intrinsic
def moments_point(typingctx, real, pa, pz, sums, squares):
    """sums += pa + pz; squares += pa * pa + pz * pz, in float64."""

    def generate(context, builder, signature, arguments):
        double = _vector_type(types.float64)
        sums, squares = (_load(builder, x, double) for x in arguments[3:])
        for address in arguments[1:3]:
            whole = _load(builder, address, _vector_type(real))
            for part in _doubles(builder, whole.value):
                sums = sums + part
                squares = part.fma(part, squares)
        _store(sums, arguments[3])
        _store(squares, arguments[4])
        return context.get_dummy_value()

    return types.void(real, *[types.int64] * 4), generate


@intrinsic
def norm_point(typingctx, real, mean, rstd, p, weight, bias, normed):
    """normed = (p - mean) * rstd; p = normed * weight + bias."""

    def generate(context, builder, signature, arguments):
        kind = _vector_type(real)
        mean, scale = (_splat(builder, x, kind) for x in arguments[1:3])
        p, weight, bias = (_load(builder, x, kind) for x in arguments[3:6])
        n = (p - mean) * scale
        _store(n, arguments[6])
        _store(n.fma(weight, bias), arguments[3])
        return context.get_dummy_value()

    return types.void(real, real, real, *[types.int64] * 4), generate


@intrinsic
def norm_sums_point(typingctx, real, dg, weight, normed, sums, products):
    """With dn = dg * weight: sums += dn, products += dn * normed."""

    def generate(context, builder, signature, arguments):
        kind = _vector_type(real)
        dg, weight, n, sums, products = (
            _load(builder, x, kind) for x in arguments[1:]
        )
        dn = dg * weight
        _store(sums + dn, arguments[4])
        _store(dn.fma(n, products), arguments[5])
        return context.get_dummy_value()

    return types.void(real, *[types.int64] * 5), generate


@intrinsic
def norm_backward_point(
    typingctx, real, rstd, mean, product, dg, weight, normed, dp
):
    """LayerNorm's gradient: dp = rstd (dn - mean - normed * product)."""

    def generate(context, builder, signature, arguments):
        kind = _vector_type(real)
        rstd, mean, product = (_splat(builder, x, kind) for x in arguments[1:4])
        dg, weight, n = (_load(builder, x, kind) for x in arguments[4:7])
        dp = rstd * (dg * weight - mean - n * product)
        _store(dp, arguments[7])
        return context.get_dummy_value()

    return types.void(real, *[real] * 3, *[types.int64] * 4), generate


@intrinsic
def add_vector(typingctx, real, target, addend):
    """target += addend."""

    def generate(context, builder, signature, arguments):
        kind = _vector_type(real)
        a, b = (_load(builder, x, kind) for x in arguments[1:])
        _store(a + b, arguments[1])
        return context.get_dummy_value()

    return types.void(real, types.int64, types.int64), generate


@intrinsic
def copy_vector(typingctx, real, target, source):
    """target = source."""

    def generate(context, builder, signature, arguments):
        kind = _vector_type(real)
        _store(_load(builder, arguments[2], kind), arguments[1])
        return context.get_dummy_value()

    return types.void(real, types.int64, types.int64), generate


@intrinsic
def zero_vector(typingctx, real, target):
    """target = 0."""

    def generate(context, builder, signature, arguments):
        kind = _vector_type(real)
        zero = ir.Constant(kind, [0.0] * kind.count)
        _store(_Vector(builder, zero), arguments[1])
        return context.get_dummy_value()

    return types.void(real, types.int64), generate


@intrinsic
def load_real(typingctx, real, address):
    """The number at an address."""

    def generate(context, builder, signature, arguments):
        element = _vector_type(real).element
        return builder.load(_pointer(builder, arguments[1], 0, element))

    return real(real, types.int64), generate


@intrinsic
def store_real(typingctx, real, address, value):
    """Writes a number to an address."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(builder, arguments[1], 0, arguments[2].type)
        builder.store(arguments[2], pointer)
        return context.get_dummy_value()

    return types.void(real, types.int64, real), generate


@intrinsic
def load_int(typingctx, address):
    """The int64 at an address."""

    def generate(context, builder, signature, arguments):
        return builder.load(_pointer(builder, arguments[0], 0, _I64))

    return types.int64(types.int64), generate


@intrinsic
def store_int(typingctx, address, value):
    """Writes an int64 to an address."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(builder, arguments[0], 0, _I64)
        builder.store(arguments[1], pointer)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def prefetch(typingctx, address):
    """Asks the caches for the line at an address."""

    def generate(context, builder, signature, arguments):
        byte = ir.IntType(8).as_pointer()
        name = "llvm.prefetch.p0"
        module = builder.module
        function = module.globals.get(name) or ir.Function(
            module,
            ir.FunctionType(ir.VoidType(), [byte, _I32, _I32, _I32]),
            name,
        )
        read, keep, data = (ir.Constant(_I32, i) for i in (0, 3, 1))
        pointer = builder.inttoptr(arguments[0], byte)
        builder.call(function, [pointer, read, keep, data])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@intrinsic
def atomic_increment(typingctx, address):
    """Adds 1 to an int64, publishing all earlier writes."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(builder, arguments[0], 0, _I64)
        return builder.atomic_rmw(
            "add", pointer, ir.Constant(_I64, 1), "acq_rel"
        )

    return types.int64(types.int64), generate


@intrinsic
def atomic_read(typingctx, address):
    """Reads an int64, with all writes published before it."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(builder, arguments[0], 0, _I64)
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(types.int64), generate


@intrinsic
def spin_hint(typingctx):
    """Tells an x86 core that it spins."""

    def generate(context, builder, signature, arguments):
        if binding.get_default_triple().startswith("x86_64"):
            name = "llvm.x86.sse2.pause"
            module = builder.module
            function = module.globals.get(name) or ir.Function(
                module, ir.FunctionType(ir.VoidType(), []), name
            )
            builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def call_int(typingctx, address):
    """Calls a C function ``int f(void)``."""

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(_I32, []).as_pointer()
        function = builder.inttoptr(arguments[0], kind)
        return builder.sext(builder.call(function, []), _I64)

    return types.int64(types.int64), generate


def _splat(builder, scalar, kind):
    undefined = ir.Constant(kind, ir.Undefined)
    value = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    order = ir.Constant(ir.VectorType(_I32, kind.count), [0] * kind.count)
    return _Vector(builder, builder.shuffle_vector(value, undefined, order))
