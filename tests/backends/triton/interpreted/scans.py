"""Random scans, run by the kernels and by the reference."""

import torch
import twins

from speechbrain_ligru_fast.backends import reference, triton
from speechbrain_ligru_fast.backends.rows import previous_hidden
from speechbrain_ligru_fast.backends.spec import ScanSpec
from speechbrain_ligru_fast.backends.triton.plan import Plan

FORWARD = ("output", "gates", "normed", "rstd")
BACKWARD = ("dgates", "dprojected", "dh0")


def how(hidden, backward=False, resident=True, persistent=True, rows=16):
    """A small plan; persistent ones of several tiles need a Machine."""
    width = hidden * (2 if backward else 1)
    share = 16
    while resident and 2 * share < width:
        share *= 2
    return Plan(rows, 16, 2, share, resident, persistent, 2)


def scan(
    batch=3, steps=3, hidden=16, dtype=torch.float32, operand=torch.float32,
    h0=True, mask=False, lengths=None, affine=False, **options,
):  # fmt: skip
    """(spec, arguments of scan_forward) with random values."""
    spec = ScanSpec(**options)
    rows = batch * spec.directions

    def real(*shape, seed):
        return twins.data(shape, torch.float32, seed).detach()

    keep = real(rows, hidden, seed=4) > -0.5
    return spec, dict(
        w=real(batch, steps, 2 * hidden, seed=1).to(dtype),
        u=(real(2 * hidden, hidden, seed=2) / hidden**0.5).to(operand),
        h0=real(rows, hidden, seed=3).to(dtype) if h0 else None,
        mask=keep.float() / 0.7 if mask else None,
        lengths=None if lengths is None else torch.tensor(lengths),
        ln_weight=real(2 * hidden, seed=5) if affine else None,
        ln_bias=real(2 * hidden, seed=6) if affine else None,
    )


def forward(spec, given, plan=None, save=True):
    """What the kernel and the reference return, by name."""
    got = triton.scan_forward(spec, **given, save=save, how=plan)
    want = reference.scan_forward(spec, **given, save=save)
    return dict(zip(FORWARD, got)), dict(zip(FORWARD, want))


def backward(spec, given, want, plan=None):
    """The same for the backward, from what the reference saved."""
    grad = twins.data(want["output"].shape, torch.float32, 9).detach()
    lengths = given["lengths"]
    previous = previous_hidden(
        want["output"], given["h0"], spec.directions, lengths
    )
    saved = [want[name] for name in FORWARD[1:]]
    arguments = (
        spec, grad.to(given["w"].dtype), previous, *saved, given["u"],
        given["mask"], lengths, given["ln_weight"],
    )  # fmt: skip
    got = triton.scan_backward(*arguments, how=plan)
    want = reference.scan_backward(*arguments)
    return dict(zip(BACKWARD, got)), dict(zip(BACKWARD, want))


def errors(got, want, lengths):
    """Largest relative difference by name, where there are frames."""
    found = {}
    for name in want:
        assert got[name].dtype == want[name].dtype, name
        a, b = got[name], want[name]
        if b.numel() == 0:
            assert a.numel() == 0, name
            continue
        if lengths is not None and name in ("gates", "normed", "rstd"):
            there = torch.arange(a.shape[2]) < lengths[:, None]
            a, b = a[:, there], b[:, there]
        found[name] = twins.error(a, b)
    return found
