"""The scan on a GPU: one cooperative launch of numba-cuda for all steps.

Every thread computes products for one hidden unit of a few rows, so that a
weight is read once for all of them; the states are exchanged through two
buffers in global memory, with a barrier of the whole grid between steps
(SLiGRU: two forward, three backward). Numba has no tensor cores and no way to
keep weights in registers over time: they come from the caches each step.
"""

import functools
import math

import numpy as np
import torch
from numba import config, cuda

from speechbrain_ligru_fast.backends.numba.compiling import quiet
from speechbrain_ligru_fast.backends.rows import accumulate_dtype
from speechbrain_ligru_fast.backends.spec import LEAKY_SLOPE, NONLINEARITIES

# Rows per thread.
ROWS = 4
_THREADS = 128
_RELU, _TANH, _SIN, _ = range(len(NONLINEARITIES))


@functools.cache
def _kernels(real):
    """(forward, backward) kernels that compute in ``real``."""
    zero, one, leak = real(0), real(1), real(LEAKY_SLOPE)

    @cuda.jit(device=True)
    def activation(code, a):
        # Comparisons are such that NaN stays NaN.
        if code == _RELU:
            return zero if a <= zero else a
        if code == _TANH:
            return math.tanh(a)
        if code == _SIN:
            return math.sin(a)
        return a if a > zero else leak * a

    @cuda.jit(device=True)
    def slope(code, a):
        if code == _RELU:
            return one if a > zero else zero
        if code == _TANH:
            # 1 - tanh(a) ** 2 cancels away from 0.
            e = math.exp(real(-2) * abs(a))
            return real(4) * e / ((one + e) * (one + e))
        if code == _SIN:
            return math.cos(a)
        return one if a > zero else leak

    @cuda.jit(device=True)
    def frame_of(row, step, batch, lengths):
        """The frame a row reads at a step, or -1 past its end."""
        length = lengths[row % batch]
        if step >= length:
            return -1
        return step if row < batch else length - 1 - step

    @cuda.jit(device=True)
    def update(w, mask, output, gates, states, row, unit, step, frame, code,
               projected_a, projected_z):  # fmt: skip
        """The gate equations for one unit of one row."""
        hidden, batch = states.shape[2], w.shape[0]
        old = states[step & 1, row, unit]
        if frame < 0:
            states[1 - (step & 1), row, unit] = old
            return
        utterance, direction = row % batch, row // batch
        a = w[utterance, frame, unit] + projected_a
        z = w[utterance, frame, hidden + unit] + projected_z
        z = one / (one + math.exp(-z))
        candidate = activation(code, a) * mask[row, unit]
        new = z * old + (one - z) * candidate
        states[1 - (step & 1), row, unit] = new
        output[utterance, frame, direction * hidden + unit] = new
        if gates.shape[1] > 0:
            gates[row, frame, unit] = a
            gates[row, frame, hidden + unit] = z

    @cuda.jit
    def forward(
        w, u, mask, lengths, ln_weight, ln_bias, output, gates, normed, rstd,
        states, products, rows, code, layernorm, eps,
    ):  # fmt: skip
        """w (B, T, 2H), u (H, 2H), states (2, rows, H), gates (R, T, 2H)."""
        grid = cuda.cg.this_grid()
        start, stride = cuda.grid(1), cuda.gridsize(1)
        batch, steps, hidden = w.shape[0], w.shape[1], states.shape[2]
        sum_a = cuda.local.array(ROWS, real)
        sum_z = cuda.local.array(ROWS, real)
        for step in range(steps):
            for item in range(start, states.shape[1] // ROWS * hidden, stride):
                # Neighbouring threads read neighbouring weights.
                unit, first = item % hidden, item // hidden * ROWS
                for i in range(ROWS):
                    sum_a[i] = zero
                    sum_z[i] = zero
                for k in range(hidden):
                    weight_a, weight_z = u[k, unit], u[k, hidden + unit]
                    for i in range(ROWS):
                        state = states[step & 1, first + i, k]
                        sum_a[i] += weight_a * state
                        sum_z[i] += weight_z * state
                for i in range(ROWS):
                    row = first + i
                    if row < rows:
                        if layernorm:
                            products[row, unit] = sum_a[i]
                            products[row, hidden + unit] = sum_z[i]
                        else:
                            update(
                                w, mask, output, gates, states, row, unit,
                                step, frame_of(row, step, batch, lengths),
                                code, sum_a[i], sum_z[i],
                            )  # fmt: skip
            grid.sync()
            if layernorm:
                for item in range(start, rows * hidden, stride):
                    unit, row = item % hidden, item // hidden
                    mean, spread = zero, zero
                    for k in range(2 * hidden):
                        mean += products[row, k]
                    mean /= real(2) * real(hidden)
                    for k in range(2 * hidden):
                        apart = products[row, k] - mean
                        spread += apart * apart
                    scale = one / math.sqrt(
                        spread / (real(2) * real(hidden)) + eps
                    )
                    n_a = (products[row, unit] - mean) * scale
                    n_z = (products[row, hidden + unit] - mean) * scale
                    frame = frame_of(row, step, batch, lengths)
                    if frame >= 0 and normed.shape[1] > 0:
                        normed[row, frame, unit] = n_a
                        normed[row, frame, hidden + unit] = n_z
                        if unit == 0:
                            rstd[row, frame] = scale
                    update(
                        w, mask, output, gates, states, row, unit, step,
                        frame, code,
                        n_a * ln_weight[unit] + ln_bias[unit],
                        n_z * ln_weight[hidden + unit]
                        + ln_bias[hidden + unit],
                    )  # fmt: skip
                grid.sync()

    @cuda.jit
    def backward(
        grad, previous, gates, normed, rstd, u, mask, lengths, ln_weight,
        dgates, dprojected, carry, sent, rows, code, layernorm,
    ):  # fmt: skip
        """u (2H, H), carry (rows, H), sent (2, rows, 2H): see forward."""
        grid = cuda.cg.this_grid()
        start, stride = cuda.grid(1), cuda.gridsize(1)
        batch, steps, hidden = grad.shape[0], grad.shape[1], carry.shape[1]
        width = 2 * hidden
        total = cuda.local.array(ROWS, real)
        # Iteration 0 multiplies zeros, the last one only multiplies.
        for i in range(steps + 1):
            step = steps - 1 - i
            for item in range(start, carry.shape[0] // ROWS * hidden, stride):
                unit, first = item % hidden, item // hidden * ROWS
                for j in range(ROWS):
                    total[j] = carry[first + j, unit]
                for k in range(width):
                    weight = u[k, unit]
                    for j in range(ROWS):
                        total[j] += weight * sent[i & 1, first + j, k]
                for j in range(ROWS):
                    row = first + j
                    frame = -1
                    if row < rows and step >= 0:
                        frame = frame_of(row, step, batch, lengths)
                    if frame < 0:
                        carry[row, unit] = total[j]
                        sent[1 - (i & 1), row, unit] = zero
                        sent[1 - (i & 1), row, hidden + unit] = zero
                        continue
                    utterance, direction = row % batch, row // batch
                    at = direction * hidden + unit
                    dh = grad[utterance, frame, at] + total[j]
                    a = gates[row, frame, unit]
                    z = gates[row, frame, hidden + unit]
                    m = mask[row, unit]
                    candidate = activation(code, a) * m
                    apart = previous[row, frame, unit] - candidate
                    d_a = dh * (one - z) * slope(code, a) * m
                    d_z = dh * apart * z * (one - z)
                    carry[row, unit] = z * dh
                    dgates[row, frame, unit] = d_a
                    dgates[row, frame, hidden + unit] = d_z
                    sent[1 - (i & 1), row, unit] = d_a * ln_weight[unit]
                    sent[1 - (i & 1), row, hidden + unit] = (
                        d_z * ln_weight[hidden + unit]
                    )
            grid.sync()
            if layernorm and step >= 0:
                # Read by all threads of a row: sums before anyone changes.
                for item in range(start, rows * hidden, stride):
                    unit, row = item % hidden, item // hidden
                    frame = frame_of(row, step, batch, lengths)
                    if frame < 0:
                        continue
                    mean, along = zero, zero
                    for k in range(width):
                        dn = sent[1 - (i & 1), row, k]
                        mean += dn
                        along += dn * normed[row, frame, k]
                    mean /= real(width)
                    along /= real(width)
                    for k in (unit, hidden + unit):
                        dn = sent[1 - (i & 1), row, k]
                        dprojected[row, frame, k] = rstd[row, frame] * (
                            dn - mean - normed[row, frame, k] * along
                        )
                grid.sync()
                for item in range(start, rows * hidden, stride):
                    unit, row = item % hidden, item // hidden
                    frame = frame_of(row, step, batch, lengths)
                    if frame >= 0:
                        for k in (unit, hidden + unit):
                            sent[1 - (i & 1), row, k] = dprojected[
                                row, frame, k
                            ]
                grid.sync()

    return forward, backward


def unavailable():
    """None, or the reason why no GPU can be used."""
    if not cuda.is_available():
        return "numba-cuda finds no GPU it can use"
    if torch.version.hip is not None:
        return "numba-cuda runs on NVIDIA GPUs only"
    major, minor = torch.cuda.get_device_capability()
    if major < 6:
        return (
            "a barrier of the whole grid needs compute capability 6.0 or "
            f"more, this is {major}.{minor}"
        )
    return None


def _launch(kernel, items, device, arguments):
    """One cooperative launch: at most a block per multiprocessor."""
    if config.ENABLE_CUDASIM:
        # The simulator runs one block, a Python thread per GPU thread.
        kernel[1, min(items, 16)](*[_array(x) for x in arguments])
        return
    with torch.cuda.device(device), quiet():
        processors = torch.cuda.get_device_properties(
            device
        ).multi_processor_count
        blocks = min(processors, -(-items // _THREADS))
        stream = torch.cuda.current_stream(device).cuda_stream
        kernel[blocks, _THREADS, cuda.external_stream(stream)](
            *[_array(x) for x in arguments]
        )


def _array(x):
    """A tensor as Numba takes it, without a copy; numbers as they are."""
    if not torch.is_tensor(x):
        return x
    # An operator's inputs may require a gradient, which arrays can't.
    x = x.detach()
    return x.numpy() if x.device.type == "cpu" else cuda.as_cuda_array(x)


def _real(dtype):
    return np.float64 if dtype == torch.float64 else np.float32


def _padded(rows):
    return -(-rows // ROWS) * ROWS


def scan_forward(spec, w, u, h0, mask, lengths, ln_weight, ln_bias, save):
    """See backends/reference.py."""
    batch, steps, width = w.shape
    hidden, d = width // 2, spec.directions
    rows, dtype, device = d * batch, accumulate_dtype(w.dtype), w.device
    like = dict(dtype=dtype, device=device)

    def fit(x, *shape):
        if x is None:
            return torch.ones(shape, **like)
        return x.to(dtype).contiguous()

    def kept(condition, *shape):
        return torch.zeros(shape if condition else (rows, 0, 0), **like)

    keep = save and spec.layernorm
    # Zero where no frame is ever visited.
    output = torch.zeros(batch, steps, d * hidden, **like)
    gates = kept(save, rows, steps, width)
    normed = kept(keep, rows, steps, width)
    rstd = torch.zeros(rows, steps if keep else 0, **like)
    states = torch.zeros(2, _padded(rows), hidden, **like)
    if h0 is not None:
        states[0, :rows] = h0
    frames = lengths
    if frames is None:
        frames = torch.full((batch,), steps, device=device)
    bias = torch.zeros(width, **like) if ln_bias is None else fit(ln_bias)
    arguments = (
        fit(w), fit(u.t()), fit(mask, rows, hidden), frames.contiguous(),
        fit(ln_weight, width), bias, output, gates, normed, rstd, states,
        torch.empty(rows, width, **like), rows,
        NONLINEARITIES.index(spec.nonlinearity), spec.layernorm,
        _real(dtype)(spec.eps),
    )  # fmt: skip
    if output.numel() > 0:
        _launch(
            _kernels(_real(dtype))[0], _padded(rows) // ROWS * hidden, device,
            arguments,
        )  # fmt: skip
    none = torch.empty(0, **like)
    shape = (d, batch, steps, width)
    return (
        output.to(w.dtype),
        gates.view(shape) if save else none,
        normed.view(shape) if keep else none.clone(),
        rstd.view(shape[:3]) if keep else none.clone(),
    )


def scan_backward(
    spec, grad, previous, gates, normed, rstd, u, mask, lengths, ln_weight,
    needs_dh0=True, apart=True,
):  # fmt: skip
    """See backends/reference.py."""
    d, batch, steps, width = gates.shape
    hidden, rows = width // 2, d * batch
    dtype, device = gates.dtype, gates.device
    like = dict(dtype=dtype, device=device)

    def fit(x, *shape):
        if x is None:
            return torch.ones(shape, **like)
        return x.to(dtype).contiguous()

    def by_row(x):
        return fit(x).flatten(0, 1) if x.dim() > 1 else x.view(0, 0, 0)

    dgates = torch.zeros(rows, steps, width, **like)
    dprojected = torch.zeros(
        rows, steps if spec.layernorm else 0, width, **like
    )
    scales = torch.empty(0, 0, **like)
    if spec.layernorm:
        scales = fit(rstd).flatten(0, 1)
    carry = torch.zeros(_padded(rows), hidden, **like)
    frames = lengths
    if frames is None:
        frames = torch.full((batch,), steps, device=device)
    arguments = (
        fit(grad), by_row(previous), by_row(gates), by_row(normed), scales,
        fit(u), fit(mask, rows, hidden), frames.contiguous(),
        fit(ln_weight, width), dgates, dprojected, carry,
        torch.zeros(2, _padded(rows), width, **like), rows,
        NONLINEARITIES.index(spec.nonlinearity), spec.layernorm,
    )  # fmt: skip
    if dgates.numel() > 0:
        _launch(
            _kernels(_real(dtype))[1], _padded(rows) // ROWS * hidden, device,
            arguments,
        )  # fmt: skip
    shape = (d, batch, steps, width)
    dgates = dgates.view(shape)
    if spec.layernorm:
        return dgates, dprojected.view(shape), carry[:rows]
    return dgates, dgates, carry[:rows]
