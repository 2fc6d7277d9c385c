"""How a backend is tried: the cases, the check and the timer of every proof.

``auto``'s proof at first use, ``python -m speechbrain_ligru_fast verify`` and
``make gpu`` all share this file.
"""

import contextlib
import functools
import itertools
import time
from typing import NamedTuple

import torch

from speechbrain_ligru_fast.backends import reference
from speechbrain_ligru_fast.backends.rows import active_steps, previous_hidden
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES, ScanSpec

# Steps of a scan that is checked, and of one that is timed.
STEPS, TIMED = 12, 100
# Runs of a scan, which must give the same bits.
RUNS = 2
# What may be given beside w and U; SLiGRU alone has the last two.
OPTIONAL = ("lengths", "h0", "mask", "ln_weight", "ln_bias")
# Tensor cores read TF32's 10 bits of mantissa, cut off or rounded.
TF32_EPS = 2**-9
# Seconds that one turn of a timed call takes, so that a clock can tell.
TURN = {"cuda": 0.005, "cpu": 0.05}


class Kind(NamedTuple):
    """Scans that run the same kernels.

    Arguments
    ---------
    hidden : int
        H.
    rows : int
        Utterances times directions, as rows.size_class rounds them up.
    spec : ScanSpec
        Options.
    dtype : str
        Of U, and so of the products' operands.
    io : str
        Of input and output.
    tf32 : bool
        Whether float32 products may be TF32.
    steps : int
        STEPS, or 1: a single step may be launched in another way.

    Example
    -------
    >>> str(Kind(512, 16, ScanSpec(layernorm=True), "bfloat16"))
    'SLiGRU relu, 1 direction, H=512, 16 rows, bfloat16/float32'
    """

    hidden: int
    rows: int
    spec: ScanSpec = ScanSpec()
    dtype: str = "float32"
    io: str = "float32"
    tf32: bool = False
    steps: int = STEPS

    @classmethod
    def read(cls, values):
        """The kind that JSON made a list of."""
        hidden, rows, spec, *more = values
        return cls(hidden, rows, ScanSpec(*spec), *more)

    def __str__(self):
        spec = self.spec
        return (
            f"{'SLiGRU' if spec.layernorm else 'LiGRU'} {spec.nonlinearity}, "
            f"{spec.directions} direction{'s' * (spec.directions > 1)}, "
            f"H={self.hidden}, {self.rows} rows, {self.dtype}/{self.io}"
            + ", TF32" * self.tf32
            + ", one step" * (self.steps == 1)
        )


# (U, input and output, TF32) of the first cases, and of all.
_FIRST = (("float32", "float32", False), ("bfloat16", "float32", False))
_TYPES = (
    *_FIRST,
    ("float32", "float32", True),
    ("bfloat16", "bfloat16", False),
    ("float16", "float16", False),
)
# (H, rows, directions): the size that the project times, a decoder's step
# aside; then what other plans need, and what fills no vector.
_SIZES = ((512, 16, 2),)
_MORE = ((256, 16, 2), (1024, 48, 2), (512, 128, 2), (2048, 16, 1), (64, 8, 2))
_ODD = (16, 33, 100, 777)


def cases(device_type, everything=False):
    """The kinds that are proven by hand, the most important first.

    Arguments
    ---------
    device_type : str
        ``cpu`` or ``cuda``: only a GPU has TF32.
    everything : bool
        Else a few, in seconds.

    Returns
    -------
    list

    Example
    -------
    >>> len(cases("cpu")) < len(cases("cpu", everything=True)) / 10
    True
    """
    found = []

    def add(hidden, rows, spec, types, steps=STEPS):
        if device_type == "cuda" or not types[2]:
            found.append(Kind(hidden, rows, spec, *types, steps))

    specs = {
        d: (ScanSpec("relu", d), ScanSpec("relu", d, True)) for d in (1, 2)
    }
    for types, size in itertools.product(_FIRST, _SIZES):
        for spec in specs[size[2]]:
            add(*size[:2], spec, types)
    if everything:
        for size, types in itertools.product(_SIZES + _MORE, _TYPES):
            for spec in specs[size[2]]:
                add(*size[:2], spec, types)
        for spec, types in itertools.product(specs[1], _TYPES):
            add(512, 8, spec, types, 1)
        for names in itertools.product(NONLINEARITIES, (1, 2), (False, True)):
            for hidden, types in itertools.product(_ODD, _TYPES):
                add(hidden, 8, ScanSpec(*names), types)
    return list(dict.fromkeys(found))


def draw(kind, given, generator, steps):
    """Arguments of a scan by name, in the kind's types, on the CPU.

    Arguments
    ---------
    kind : Kind
        What to draw for.
    given : tuple
        Those of OPTIONAL that are drawn; the others are None.
    generator : torch.Generator
        Random numbers.
    steps : int
        T.

    Returns
    -------
    dict
    """
    normal = functools.partial(torch.randn, generator=generator)
    hidden, directions = kind.hidden, kind.spec.directions
    batch = max(1, kind.rows // directions)
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
    found = _cast(found, getattr(torch, kind.io))
    u = normal(2 * hidden, hidden) / hidden**0.5
    return found | {"u": u.to(getattr(torch, kind.dtype))}


def _cast(tensors, dtype=None, device=None):
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
def _expected(kind, seed):
    """Options, arguments, what is saved, and the results: exact, reference's.

    With every option, and with those that the seed's bits name.
    """
    some = tuple(n for i, n in enumerate(OPTIONAL) if seed >> i & 1)
    generator = torch.Generator().manual_seed(seed)
    found = []
    for given in dict.fromkeys((OPTIONAL, some)):
        x = draw(kind, given, generator, kind.steps)
        saved = _saved(kind, x, forward(reference, kind.spec, x, True))
        wide = (_cast(tensors, torch.float64) for tensors in (x, saved))
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
    module : module
        The backend.
    kind : Kind
        What to run.
    device : str
        Where.
    seed : int
        Of the random numbers, and which options the second scan has.

    Returns
    -------
    list

    Example
    -------
    >>> check(reference, Kind(8, 4), "cpu")
    []
    """
    wrong = []
    for given, x, saved, want, own in _expected(kind, seed):
        there, read = _cast(x, device=device), _cast(saved, device=device)
        with _poisoned():
            got, *others = (
                _results(module, kind, there, read) for _ in range(RUNS)
            )
        for name, value in want.items():
            what = f"{name} with {', '.join(given) or 'no option'}"
            most = limits(kind, errors(own[name], value))
            if got[name].shape != value.shape:
                wrong.append(f"{what}: shape {tuple(got[name].shape)}")
                continue
            found = errors(got[name], value)
            # Written so that a NaN fails.
            if not all(f <= m for f, m in zip(found, most)):
                wrong.append(
                    f"{what}: error {found[0]:.1e} (largest {found[1]:.1e}), "
                    f"allowed {most[0]:.1e} ({most[1]:.1e})"
                )
            elif not all(torch.equal(o[name], got[name]) for o in others):
                wrong.append(f"{what}: other bits in another run")
    return wrong


def calls(module, kind, device):
    """(forward, backward) of a longer scan, for the timer."""
    steps = kind.steps if kind.steps == 1 else TIMED
    x = draw(kind, (), torch.Generator().manual_seed(0), steps)
    there = _cast(x, device=device)
    saved = _saved(kind, there, forward(module, kind.spec, there, True))
    return (
        functools.partial(forward, module, kind.spec, there, True),
        functools.partial(backward, module, kind.spec, there, saved),
    )


def _milliseconds(call, times, device_type):
    """A call's mean over several, on a GPU between its own events."""
    if device_type == "cuda":
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(times):
            call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / times
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return 1000 * (time.perf_counter() - begin) / times


def take_turns(calls, seconds, device_type="cpu", begin=lambda key: None):
    """Milliseconds of each call, a figure a turn: A B C, C B A, and again.

    What slows the machine for a while slows all of them alike, and each
    turn's ratio is of neighbours.

    Arguments
    ---------
    calls : dict
        What to call, by any key.
    seconds : float
        For all together; each has four turns at least.
    device_type : str
        ``cuda`` for a GPU's own clock.
    begin : callable
        Told whose turn it is.

    Returns
    -------
    dict
        Key -> list of milliseconds.

    Example
    -------
    >>> times = take_turns({"a": lambda: 1, "b": lambda: 2}, 0)
    >>> len(times["a"]), len(times["b"])
    (4, 4)
    """
    counts, times = {}, {key: [] for key in calls}
    for key, call in calls.items():
        begin(key)
        for _ in range(3):  # TorchScript specialises itself at first.
            call()
        once = _milliseconds(call, 1, device_type) / 1000
        counts[key] = max(1, round(TURN[device_type] / max(once, 1e-7)))
    end = time.monotonic() + seconds
    rounds = 0
    while rounds < 2 or time.monotonic() < end:
        for key in (*calls, *reversed(calls)):
            begin(key)
            turn = _milliseconds(calls[key], counts[key], device_type)
            times[key].append(turn)
        rounds += 1
    return times
