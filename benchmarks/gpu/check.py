"""Whether a backend computes the scan: nothing is timed that fails here."""

import contextlib
import itertools

import torch

from benchmarks.gpu import scans
from benchmarks.verify import relative_error
from speechbrain_ligru_fast import ligru_scan

# Another order of the same sums: a small multiple of the error that the
# reference makes in the same types, and a few roundings of the operands.
REFERENCE_ERRORS = 8
ROUNDINGS = 8

# Operands of a product that rounds float32 to TensorFloat-32.
TF32_EPS = 2**-10

TYPES = (("fp32", "fp32"), ("bf16", "fp32"), ("bf16", "bf16"), ("fp16", "fp16"))


def limit(name, reference, want, operand, tf32=False):
    """Largest error that rounding explains.

    Arguments
    ---------
    name : str
        Of a result.
    reference, want : dict
        The results in these types and in float64.
    operand : str
        Type of the products' operands.
    tf32 : bool
        Whether float32 operands are rounded.

    Returns
    -------
    float
    """
    error = relative_error(reference[name], want[name])
    eps = TF32_EPS if tf32 else torch.finfo(scans.DTYPES[operand]).eps
    return REFERENCE_ERRORS * error + ROUNDINGS * eps


def _compare(backend, device, given, operand, io, what, tf32=False):
    """Failures of one scan, as lines."""
    scans.allow_tf32(tf32)
    given = scans.rounded(given, operand, io)
    want = scans.run(given, "reference", "cpu")
    reference = scans.run(given, "reference", "cpu", operand, io)
    try:
        got = scans.run(given, backend, device, operand, io)
    except Exception as error:
        return [f"{backend}: {what}: {type(error).__name__}: {error}"]
    failures = []
    for name, value in want.items():
        most = limit(name, reference, want, operand, tf32)
        error = relative_error(got[name], value)
        # Written so that a NaN fails.
        if not error <= most:
            failures.append(
                f"{backend}: {what}: {name}: error {error:.2e} > {most:.2e}"
            )
    return failures


def _poison(on):
    """Makes uninitialised memory hold NaN."""
    torch.utils.deterministic.fill_uninitialized_memory = True
    torch.use_deterministic_algorithms(on, warn_only=True)


def options(plan, backend, device, seed):
    """Every option at small odd sizes, in every type, over NaN.

    Arguments
    ---------
    plan : Plan
        What to run.
    backend : str
        Backend to judge.
    device : str
        Where it runs.
    seed : int
        Of the random inputs.

    Returns
    -------
    failures : list of str
    count : int
        Scans that were compared.
    """
    generator = torch.Generator().manual_seed(seed)
    types = itertools.cycle(TYPES)
    failures = []
    _poison(True)
    try:
        for chosen in plan.options:
            operand, io = next(types)
            what = f"{operand}/{io} {chosen}"
            # Where a sum is within a rounding of ReLU's kink a correct
            # backend has another gradient: that does not happen twice.
            for _ in range(2 if "relu" in chosen["nonlinearity"] else 1):
                given = scans.draw(generator, **chosen)
                wrong = _compare(backend, device, given, operand, io, what)
                if not wrong:
                    break
            failures += wrong
    finally:
        _poison(False)
    return failures, len(plan.options)


def recompute(plan, backend, device, seed):
    """A few of the options with gates that the backward computes again.

    Arguments as in ``options``.
    """
    generator = torch.Generator().manual_seed(seed)
    types = itertools.cycle(TYPES)
    # Coprime with every option's count: each value stays in.
    chosen = plan.options[::5]
    failures = []
    for options in chosen:
        operand, io = next(types)
        # No kinks, see `options`.
        smooth = {**options, "nonlinearity": "tanh", "recompute": True}
        given = scans.draw(generator, **smooth)
        what = f"recompute {operand}/{io} {options}"
        failures += _compare(backend, device, given, operand, io, what)
    return failures, len(chosen)


_EXACT = tuple((types, False) for types in TYPES[:2])


def sizes(plan, backend, device, seed):
    """Larger scans, LiGRU and SLiGRU; arguments as in ``options``."""
    generator = torch.Generator().manual_seed(seed)
    failures, count = [], 0
    for (hidden, batch, directions, steps), layernorm in itertools.product(
        plan.sizes, (False, True)
    ):
        # No kinks, see `options`: here are enough sums to meet one.
        given = scans.draw(
            generator, hidden, batch, steps, directions, layernorm, h0=True,
            nonlinearity="tanh",
        )  # fmt: skip
        for (operand, io), tf32 in (*_EXACT, (TYPES[0], True)):
            what = f"{operand}/{io} H{hidden} B{batch}x{directions} T{steps}"
            what += ", tf32 allowed" if tf32 else ""
            failures += _compare(
                backend, device, given, operand, io, what, tf32
            )
            count += 1
    return failures, count


def repeats(plan, backend, device, seed):
    """The same scan gives the same bits; arguments as in ``options``."""
    generator = torch.Generator().manual_seed(seed)
    hidden, batch, directions, steps = plan.sizes[0]
    given = scans.draw(generator, hidden, batch, steps, directions, True)
    runs = [
        scans.run(given, backend, device, "bf16", "fp32")
        for _ in range(plan.repeats)
    ]
    failures = [
        f"{backend}: repeat {i}: {name} differs"
        for i, other in enumerate(runs)
        for name in other
        if not torch.equal(other[name], runs[0][name])
    ]
    return failures, plan.repeats


def graph(plan, backend, device, seed):
    """A CUDA graph of a scan replays it; arguments as in ``options``."""
    # The other backends don't promise it.
    if device == "cpu" or backend not in ("cuda", "triton"):
        return [], 0
    generator = torch.Generator().manual_seed(seed)
    hidden, batch, directions, steps = plan.sizes[0]
    given = scans.draw(generator, hidden, batch, steps, directions)
    w, u = given["w"].float().to(device), given["u"].bfloat16().to(device)
    with torch.no_grad():
        ligru_scan(w, u, directions=directions, backend=backend)
        torch.cuda.synchronize()
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            output = ligru_scan(w, u, directions=directions, backend=backend)
        w.copy_(torch.randn_like(w))
        captured.replay()
        torch.cuda.synchronize()
        want = ligru_scan(w, u, directions=directions, backend=backend)
        same = torch.equal(output, want)
    return [] if same else [f"{backend}: CUDA graph: another result"], 1


@contextlib.contextmanager
def triton_steps(graphs=True):
    """Makes the Triton backend launch its kernels once a step.

    Arguments
    ---------
    graphs : bool
        Whether it may put the launches in CUDA graphs.
    """
    from speechbrain_ligru_fast.backends import triton
    from speechbrain_ligru_fast.backends.triton.plan import Device

    describe, enabled = triton._describe, triton.replays.enabled
    triton._describe = lambda device: Device(cooperative=False)
    triton.replays.enabled = graphs
    try:
        yield
    finally:
        triton._describe, triton.replays.enabled = describe, enabled


def launches(plan, backend, device, seed):
    """Triton's launch per step, also in its own CUDA graphs.

    The same kind of scan comes three times, with other data: the first is
    launched, the second makes the graphs, the third replays them. Arguments
    as in ``options``.
    """
    if backend != "triton":
        return [], 0
    generator = torch.Generator().manual_seed(seed)
    hidden, batch, directions, steps = plan.sizes[0]
    failures, count = [], 0
    for layernorm, turn in itertools.product((False, True), range(3)):
        given = scans.draw(
            generator, hidden, batch, steps, directions, layernorm,
            lengths=True, h0=True,
        )  # fmt: skip
        what = f"launch per step, layernorm {layernorm}, turn {turn}"
        with triton_steps():
            failures += _compare(backend, device, given, "bf16", "fp32", what)
        count += 1
    return failures, count


# The graph last: a capture that fails leaves the allocator in disorder.
CHECKS = (options, sizes, recompute, repeats, launches, graph)
