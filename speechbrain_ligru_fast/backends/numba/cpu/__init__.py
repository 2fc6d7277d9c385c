"""The fast CPU backend: compiled loops on the threads of torch.

The torch side: pads and casts what the loops read, and makes what they write.
"""

import functools

import numpy as np
import torch

from speechbrain_ligru_fast.backends.numba.cpu import (
    amx,
    arguments,
    loops,
    operands,
    shares,
    team,
    tiles,
    vectors,
)
from speechbrain_ligru_fast.backends.rows import accumulate_dtype
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES
from speechbrain_ligru_fast.products import matrix_unit

# Bytes of a cache line: no two threads write to the same one.
_LINE = 128


def words_of(dtype):
    """The kind of words as which U of a dtype is multiplied, or None."""
    if dtype != torch.bfloat16:
        return None
    if matrix_unit.available() and amx.compiles():
        return operands.TILE
    if matrix_unit.dots() and tiles.compiles_dots():
        return operands.WORD
    return None


@functools.cache
def _compiled(direction, dtype, words):
    """Address of a compiled loop; Numba compiles it or takes it from disk."""
    real = np.float64 if dtype == torch.float64 else np.float32
    found = loops.compiled(direction, real, words, loops.source_hash())
    # The address is valid for as long as the function lives: keep both.
    return found, found.address


def _pad(x, hidden, padded):
    """Pads the last dimension's groups of ``hidden`` units with zeros."""
    if x is None or hidden == padded:
        return x
    groups = x.unflatten(-1, (-1, hidden))
    return torch.nn.functional.pad(groups, (0, padded - hidden)).flatten(-2)


def _crop(x, hidden, padded):
    if hidden == padded:
        return x
    # One group would be a view of what the operator's fake calls contiguous.
    cropped = x.unflatten(-1, (-1, padded))[..., :hidden]
    return cropped.flatten(-2).contiguous()


def _pad_weights(u, hidden, padded):
    """(2H, H) -> (2P, P)."""
    if hidden == padded:
        return u.contiguous()
    gates = _pad(u, hidden, padded).unflatten(0, (2, hidden))
    return torch.nn.functional.pad(gates, (0, 0, 0, padded - hidden)).flatten(
        0, 1
    )


def _run(direction, dtype, words, spec, batch, steps, padded, true, tensors):
    """Runs a loop over tensors named as in ``ARGUMENTS``.

    ``true`` of the ``padded`` hidden units are no padding.
    """
    item = dtype.itemsize
    panels = arguments.backward_panels(padded, item)
    packed = 2 * tiles.TILE_VECTORS * panels * vectors.VECTOR_BYTES * padded
    if words:
        packed //= 2
    threads, dealt = shares.plan(
        words,
        spec,
        (batch, steps, true),
        panels,
        packed,
        tensors["lengths"],
        # Both rows of an utterance write to what is joined.
        together=tensors.get("joined") is not None,
    )
    if spec.layernorm:
        tensors["eps"] = torch.full((1,), spec.eps, dtype=dtype)
    given = dict.fromkeys(arguments.ARGUMENTS, 0)
    given |= {
        name: x.data_ptr() for name, x in tensors.items() if x is not None
    }
    rank, size = team.rank_functions(threads)
    given.update(
        rank_function=rank,
        size_function=size,
        shares=len(dealt),
        pace=shares.pace(words, len(dealt[0]["order"]), true),
        batch=batch,
        steps=steps,
        hidden=padded,
        true_hidden=true,
        directions=spec.directions,
        code=NONLINEARITIES.index(spec.nonlinearity),
        layernorm=int(spec.layernorm),
    )
    given["save"] = int(tensors.get("gates") is not None)
    if words == operands.TILE:
        given["tiles"] = amx.CONFIG.ctypes.data
    in_team = threads // len(dealt)
    sizes = [
        _sizes(direction, words, spec, len(own["order"]), padded, item, in_team)
        for own in dealt
    ]
    # All shares multiply with the same weights.
    room = [packed, *(size for own in sizes for size in own.values()), _LINE]
    workspace = torch.empty(
        sum(-(-n // _LINE) for n in room) * _LINE, dtype=torch.uint8
    )
    at = -(-workspace.data_ptr() // _LINE) * _LINE
    given["packed"] = at
    at += -(-packed // _LINE) * _LINE
    barriers = torch.zeros(len(dealt) + 1, _LINE // 8, dtype=torch.int64)
    given["shared_barrier"] = barriers[-1].data_ptr()
    tables = []
    for own, needed, barrier in zip(dealt, sizes, barriers):
        for name, size in needed.items():
            given[name] = at
            at += -(-size // _LINE) * _LINE
        given |= {name: x.data_ptr() for name, x in own.items()}
        given["rows"] = len(own["order"])
        given["barrier"] = barrier.data_ptr()
        tables.append(list(given.values()))
    tables = np.array(tables, dtype=np.int64)
    function, address = _compiled(direction, dtype, words)
    team.run(address, tables.ctypes.data, threads)


def _sizes(direction, words, spec, rows, padded, item, threads):
    """Bytes of the work space of a share of rows, by name."""
    all_rows = arguments.padded_rows(rows, words)
    state = all_rows * padded * item
    operand = state // 2 if words else state
    if direction == "forward":
        # With LayerNorm, a step's products wait behind the operands.
        buffers = 2 * operand + (2 * state if spec.layernorm else 0)
    else:
        buffers = 4 * operand
    sums = 2 * all_rows * vectors.VECTOR_BYTES * threads
    return {
        "operand": buffers,
        "state": state,
        "scratch": threads * arguments.SCRATCH_BYTES,
        "sums": sums if spec.layernorm else 0,
        "table": threads * rows * arguments.ROW_BYTES,
    }


def _like(x, dtype):
    """x as the kernels read it, or None."""
    return None if x is None else x.to(dtype).contiguous()


def scan_forward(spec, w, u, h0, mask, lengths, ln_weight, ln_bias, save):
    """See backends/reference.py."""
    batch, steps, width = w.shape
    hidden, d = width // 2, spec.directions
    dtype = accumulate_dtype(w.dtype)
    words = words_of(u.dtype) if dtype == torch.float32 else None
    padded = arguments.padded_hidden(hidden, dtype.itemsize, words)
    if not words:
        u = u.to(dtype)
        if spec.layernorm:
            # The mean of a row's products, large or not, is 0 where that of
            # U's columns is. Words would be rounded once more.
            u = u - u.mean(0, keepdim=True)

    def fit(x):
        return _like(_pad(x, hidden, padded), dtype)

    def ones(*shape):
        return torch.ones(shape, dtype=dtype)

    output = torch.empty(batch, steps, d * padded, dtype=dtype)
    gates = normed = rstd = None
    if save:
        gates = torch.empty(d, batch, steps, 2 * padded, dtype=dtype)
    keep = save and spec.layernorm
    if keep:
        normed = torch.empty_like(gates)
        # The loop clears the others where no frame is.
        rstd = torch.zeros(d, batch, steps, dtype=dtype)
    tensors = {
        "w": fit(w),
        "u": _pad_weights(u, hidden, padded),
        "h0": fit(h0),
        "mask": ones(d * batch, padded) if mask is None else fit(mask),
        "lengths": _like(lengths, torch.int64),
        "output": output,
        "gates": gates,
        "normed": normed,
        "rstd": rstd,
    }
    if spec.layernorm:
        tensors["ln_weight"] = (
            ones(2 * padded) if ln_weight is None else fit(ln_weight)
        )
        tensors["ln_bias"] = (
            torch.zeros(2 * padded, dtype=dtype)
            if ln_bias is None
            else fit(ln_bias)
        )
    if output.numel() > 0:
        _run(
            "forward", dtype, words, spec, batch, steps, padded, hidden,
            tensors,
        )  # fmt: skip
    none = torch.empty(0, dtype=dtype)
    return (
        _crop(output, hidden, padded).to(w.dtype),
        _crop(gates, hidden, padded) if save else none,
        _crop(normed, hidden, padded) if keep else none.clone(),
        rstd if keep else none.clone(),
    )


def scan_backward(
    spec, grad, previous, gates, normed, rstd, u, mask, lengths, ln_weight,
    needs_dh0=True, apart=True,
):  # fmt: skip
    """See backends/reference.py."""
    d, batch, steps, width = gates.shape
    hidden, dtype = width // 2, gates.dtype
    join = spec.layernorm and d == 2 and not apart
    words = words_of(u.dtype) if dtype == torch.float32 else None
    padded = arguments.padded_hidden(hidden, dtype.itemsize, words)

    def fit(x):
        return _like(_pad(x, hidden, padded), dtype)

    def ones(*shape):
        return torch.ones(shape, dtype=dtype)

    shape = (batch, steps, 2 * padded)
    dgates = torch.empty(1 if join else d, *shape, dtype=dtype)
    dprojected = None
    if spec.layernorm:
        dprojected = torch.empty(d, *shape, dtype=dtype)
    dh0 = torch.zeros(d * batch, padded, dtype=dtype) if needs_dh0 else None
    if words:
        u = _pad_weights(u, hidden, padded)
        # A word has two gate rows of a column.
        u = u.unflatten(0, (padded, 2)).transpose(1, 2).contiguous()
    else:
        u = _pad_weights(u.to(dtype), hidden, padded)
    tensors = {
        "u": u,
        "mask": ones(d * batch, padded) if mask is None else fit(mask),
        "lengths": _like(lengths, torch.int64),
        "gates": fit(gates),
        "previous": fit(previous),
        "grad": fit(grad),
        "dgates": dprojected if join else dgates,
        "joined": dgates if join else None,
        "dprojected": dprojected,
        "dh0": dh0,
    }
    if spec.layernorm:
        tensors["normed"] = fit(normed)
        tensors["rstd"] = rstd.contiguous()
        tensors["ln_weight"] = (
            ones(2 * padded) if ln_weight is None else fit(ln_weight)
        )
    if dgates.numel() > 0:
        _run(
            "backward", dtype, words, spec, batch, steps, padded, hidden,
            tensors,
        )  # fmt: skip
    dgates = _crop(dgates, hidden, padded)
    if needs_dh0:
        dh0 = _crop(dh0, hidden, padded)
    if spec.layernorm:
        return dgates, _crop(dprojected, hidden, padded), dh0
    return dgates, dgates, dh0
