"""The pointwise equations of gates and LayerNorm, on one vector of units.

Every intrinsic takes a scalar ``real`` first, whose type selects the
arithmetic; the other arguments are addresses in int64, or numbers.
"""

from numba import types
from numba.extending import intrinsic

from speechbrain_ligru_fast.backends.numba.cpu.vectors import (
    branches,
    doubles,
    load,
    splat,
    store,
    vector_type,
)
from speechbrain_ligru_fast.backends.spec import LEAKY_SLOPE, NONLINEARITIES

# States smaller than this are set to 0: 1e8 times the smallest number that
# is not subnormal, or a little less.
_NEGLIGIBLE = {types.float32: 1e-30, types.float64: 1e-300}


def _activate(builder, code, a):
    """The candidate's activation; ``code`` indexes NONLINEARITIES."""
    cases = {
        "relu": lambda: [a.where("<=", 0.0, 0.0, a)],
        "tanh": lambda: [a.tanh()],
        "sin": lambda: [a.call("sin")],
        "leaky_relu": lambda: [a.where(">", 0.0, a, a * LEAKY_SLOPE)],
    }
    return branches(builder, code, [cases[n] for n in NONLINEARITIES])[0]


def _activate_with_slope(builder, code, a):
    """The activation and its derivative."""
    cases = {
        "relu": lambda: [
            a.where("<=", 0.0, 0.0, a),
            a.where(">", 0.0, 1.0, 0.0),
        ],
        "tanh": lambda: [a.tanh(), a.tanh_slope()],
        "sin": lambda: [a.call("sin"), a.call("cos")],
        "leaky_relu": lambda: [
            a.where(">", 0.0, a, a * LEAKY_SLOPE),
            a.where(">", 0.0, 1.0, LEAKY_SLOPE),
        ],
    }
    return branches(builder, code, [cases[n] for n in NONLINEARITIES])


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
        kind = vector_type(real)
        pa, pz, wa, wz, h, mask = (
            load(builder, address, kind) for address in addresses[:6]
        )
        out, state, ga, gz = addresses[6:]
        a = pa + wa
        z = (pz + wz).sigmoid()
        candidate = _activate(builder, code, a) * mask
        new = z * h + (1.0 - z) * candidate
        # A state that only decays would become subnormal in the end, which
        # slows every later product down several times.
        new = new.call("fabs").where("<", _NEGLIGIBLE[real], 0.0, new)
        store(new, out)
        store(new, state)
        store(a, ga)
        store(z, gz)
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
        kind = vector_type(real)
        grad, carried, a, z, h, mask = (
            load(builder, address, kind) for address in addresses[:6]
        )
        carry = addresses[1]
        da, dz = addresses[6:]
        dh = grad + carried
        c, slope = _activate_with_slope(builder, code, a)
        open_ = 1.0 - z
        store(dh * open_ * (slope * mask), da)
        store(dh * (h - c * mask) * (z * open_), dz)
        store(z * dh, carry)
        return context.get_dummy_value()

    return types.void(real, *[types.int64] * 9), generate


@intrinsic
def moments_point(typingctx, real, pa, pz, sums, squares):
    """sums += pa + pz; squares += pa * pa + pz * pz, in float64."""

    def generate(context, builder, signature, arguments):
        double = vector_type(types.float64)
        sums, squares = (load(builder, x, double) for x in arguments[3:])
        for address in arguments[1:3]:
            whole = load(builder, address, vector_type(real))
            for part in doubles(builder, whole.value):
                sums = sums + part
                squares = part.fma(part, squares)
        store(sums, arguments[3])
        store(squares, arguments[4])
        return context.get_dummy_value()

    return types.void(real, *[types.int64] * 4), generate


@intrinsic
def norm_point(typingctx, real, mean, rstd, p, weight, bias, normed):
    """normed = (p - mean) * rstd; p = normed * weight + bias."""

    def generate(context, builder, signature, arguments):
        kind = vector_type(real)
        mean, scale = (splat(builder, x, kind) for x in arguments[1:3])
        p, weight, bias = (load(builder, x, kind) for x in arguments[3:6])
        n = (p - mean) * scale
        store(n, arguments[6])
        store(n.fma(weight, bias), arguments[3])
        return context.get_dummy_value()

    return types.void(real, real, real, *[types.int64] * 4), generate


@intrinsic
def norm_sums_point(typingctx, real, dg, weight, normed, sums, products):
    """With dn = dg * weight: sums += dn, products += dn * normed."""

    def generate(context, builder, signature, arguments):
        kind = vector_type(real)
        dg, weight, n, sums, products = (
            load(builder, x, kind) for x in arguments[1:]
        )
        dn = dg * weight
        store(sums + dn, arguments[4])
        store(dn.fma(n, products), arguments[5])
        return context.get_dummy_value()

    return types.void(real, *[types.int64] * 5), generate


@intrinsic
def norm_backward_point(
    typingctx, real, rstd, mean, product, dg, weight, normed, dp
):
    """LayerNorm's gradient: dp = rstd (dn - mean - normed * product)."""

    def generate(context, builder, signature, arguments):
        kind = vector_type(real)
        rstd, mean, product = (splat(builder, x, kind) for x in arguments[1:4])
        dg, weight, n = (load(builder, x, kind) for x in arguments[4:7])
        dp = rstd * (dg * weight - mean - n * product)
        store(dp, arguments[7])
        return context.get_dummy_value()

    return types.void(real, *[real] * 3, *[types.int64] * 4), generate
