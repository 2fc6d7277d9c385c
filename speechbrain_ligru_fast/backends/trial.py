"""The check of every proof: is a backend right?

``auto``'s proof at first use, ``python -m speechbrain_ligru_fast verify`` and
``make gpu`` share it, with kinds.py and turns.py.
"""

import contextlib
import functools

import torch

from speechbrain_ligru_fast.backends import reference
from speechbrain_ligru_fast.backends.rows import active_steps, previous_hidden

# Steps of a scan that is timed.
TIMED = 100
# Runs of a scan, each of which must be right; the last two must give the same
# bits. TorchScript fuses on a GPU what it has seen in a first run or two.
RUNS = 4
# What may be given beside w and U; SLiGRU alone has the last two.
OPTIONAL = ("lengths", "h0", "mask", "ln_weight", "ln_bias")
# Tensor cores read TF32's 10 bits of mantissa, cut off or rounded.
TF32_EPS = 2**-9


class Wrong(Exception):
    """What a backend or a layer computes is not what it should be."""


def draw(kind, given, generator, steps, absent=0):
    """Arguments of a scan of some steps by name, in a kind's types, on the CPU.

    Those of OPTIONAL that are not ``given`` are None; ``absent`` is how many
    utterances the batch lacks.
    """
    normal = functools.partial(torch.randn, generator=generator)
    hidden, directions = kind.hidden, kind.spec.directions
    batch = max(1, kind.rows // directions - absent)
    rows = directions * batch
    lengths = torch.randint(0, steps + 1, (batch,), generator=generator)
    optional = {
        "lengths": lengths,
        "h0": normal(rows, hidden),
        "mask": (normal(rows, hidden) > -0.5) / 0.7,
        "ln_weight": 1 + 0.3 * normal(2 * hidden),
        "ln_bias": 0.3 * normal(2 * hidden),
    }
    names = OPTIONAL if kind.spec.layernorm else OPTIONAL[:3]
    found = {
        "w": normal(batch, steps, 2 * hidden),
        "grad": normal(batch, steps, directions * hidden),
        **{n: optional[n] if n in given and n in names else None
           for n in OPTIONAL},
    }  # fmt: skip
    found = cast(found, getattr(torch, kind.io))
    u = normal(2 * hidden, hidden) / hidden**0.5
    return found | {"u": u.to(getattr(torch, kind.dtype))}


def cast(tensors, dtype=None, device=None):
    """The tensors elsewhere; only what is floating point changes its type."""
    return {
        name: None if x is None
        else x.to(device, dtype if x.is_floating_point() else None)
        for name, x in tensors.items()
    }  # fmt: skip


def forward(module, spec, x, save):
    """The backend's forward on drawn arguments."""
    more = (x[name] for name in OPTIONAL)
    lengths, h0, mask, ln_weight, ln_bias = more
    return module.scan_forward(
        spec, x["w"], x["u"], h0, mask, lengths, ln_weight, ln_bias, save
    )


def backward(module, spec, x, saved):
    """The backend's backward on what some forward saved."""
    return module.scan_backward(
        spec, x["grad"], *(saved[n] for n in _SAVED), x["u"], x["mask"],
        x["lengths"], x["ln_weight"], True,
    )  # fmt: skip


_SAVED = ("previous", "gates", "normed", "rstd")


def _saved(kind, x, found):
    """What the backward reads of a forward's result."""
    output, *rest = found
    d = kind.spec.directions
    previous = previous_hidden(output, x["h0"], d, x["lengths"])
    return dict(zip(_SAVED, (previous, *rest)))


def _results(module, kind, x, saved):
    """What a backend computes by name, in float64 on the CPU."""
    spec, lengths = kind.spec, x["lengths"]
    output, *kept = forward(module, spec, x, True)
    if lengths is not None:
        # What the padding of these holds means nothing.
        steps, batch = x["w"].size(1), x["w"].size(0)
        on = active_steps(steps, 1, lengths).transpose(0, 1)
        on = on.view(1, batch, steps, 1)
        kept = [
            torch.where(on if k.dim() == 4 else on[..., 0], k, 0.0)
            if k.numel() else k
            for k in kept
        ]  # fmt: skip
    found = dict(zip(("output", *_SAVED[1:]), (output, *kept)))
    names = ("grad of gates", "grad of projection", "grad of h0")
    found |= zip(names, backward(module, spec, x, saved))
    return {name: v.detach().double().cpu() for name, v in found.items()}


def errors(got, want):
    """Relative errors of a result: root of the mean square, and largest.

    Example
    -------
    >>> errors(torch.tensor([3.0, 0.0]), torch.tensor([3.0, 4.0]))
    (0.8, 1.0)
    """
    apart, want = got.double() - want.double(), want.double()
    found = []
    for size in (torch.linalg.vector_norm, lambda x: x.abs().max()):
        scale = size(want).item() if want.numel() else 0
        error = size(apart).item() if want.numel() else 0
        found.append(error / scale if scale > 0 else error)
    return tuple(found)


def limits(kind, own):
    """How large both errors may be, given the reference's own.

    Another order of the same sums, and operands rounded once more. All of a
    tensor wrong by 1 % is above the first in any type.
    """
    unit = torch.finfo(getattr(torch, kind.dtype)).eps / 2
    operand = TF32_EPS if kind.tf32 else unit
    wide = torch.float64 if kind.io == "float64" else torch.float32
    sums = 64 * torch.finfo(wide).eps
    return (
        max(3 * own[0], operand) + sums,
        8 * own[1] + 16 * operand + sums,
    )


@contextlib.contextmanager
def _poisoned():
    """Uninitialised memory holds NaN."""
    torch.utils.deterministic.fill_uninitialized_memory = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@functools.lru_cache(1)
def expected(kind, seed):
    """Options, arguments, what is saved, and the results: exact, reference's.

    With every option, and with those that the seed's bits name in a batch
    that fills no tile of its kernels.
    """
    some = tuple(n for i, n in enumerate(OPTIONAL) if seed >> i & 1)
    generator = torch.Generator().manual_seed(seed)
    found = []
    for absent, given in enumerate((OPTIONAL, some)):
        x = draw(kind, given, generator, kind.steps, absent)
        saved = _saved(kind, x, forward(reference, kind.spec, x, True))
        wide = (cast(tensors, torch.float64) for tensors in (x, saved))
        want = _results(reference, kind, *wide)
        own = _results(reference, kind, x, saved)
        found.append((given, x, saved, want, own))
    return found


def check(module, kind, device, seed=0):
    """What is wrong with a backend, as lines; none if it is right.

    Forward and backward of a dozen steps, with every option and with few,
    against float64 on the CPU. The backward reads what ``reference`` saved, so
    that no rounding moves a gate across ReLU's kink.

    Arguments
    ---------
    module, kind, device
        The backend, what to run (a Kind), and where.
    seed : int
        Of the random numbers, and which options the second scan has.

    Example
    -------
    >>> from speechbrain_ligru_fast.backends.kinds import Kind
    >>> check(reference, Kind(8, 4), "cpu")
    []
    """
    wrong = []
    for given, x, saved, want, own in expected(kind, seed):
        there, read = cast(x, device=device), cast(saved, device=device)
        with _poisoned():
            runs = [_results(module, kind, there, read) for _ in range(RUNS)]
        for name, value in want.items():
            what = f"{name} with {', '.join(given) or 'no option'}"
            most = limits(kind, errors(own[name], value))
            got = [run[name] for run in runs]
            shapes = {tuple(g.shape) for g in got}
            if shapes != {value.shape}:
                wrong.append(f"{what}: shape {', '.join(map(str, shapes))}")
                continue
            for found in (errors(g, value) for g in got):
                # Written so that a NaN fails.
                if not all(f <= m for f, m in zip(found, most)):
                    wrong.append(
                        f"{what}: error {found[0]:.1e} (largest "
                        f"{found[1]:.1e}), allowed {most[0]:.1e} "
                        f"({most[1]:.1e})"
                    )
                    break
            else:
                if not torch.equal(*got[-2:]):
                    wrong.append(f"{what}: other bits in another run")
    return wrong


def calls(module, kind, device):
    """Forward and backward of a longer scan, by name, for the timer."""
    x = draw(kind, (), torch.Generator().manual_seed(0), timed_steps(kind))
    there = cast(x, device=device)
    saved = _saved(kind, there, forward(module, kind.spec, there, True))
    return {
        "forward": lambda: forward(module, kind.spec, there, True),
        "backward": lambda: backward(module, kind.spec, there, saved),
    }


def timed_steps(kind):
    """Steps of the scan that ``calls`` runs."""
    return kind.steps if kind.steps == 1 else TIMED
