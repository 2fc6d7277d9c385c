"""Whether a backend computes the scan.

A check is a generator: it yields each scan's failures, a list of lines, as
soon as they are known, so that whoever runs it can stop between two scans.
"""

import contextlib

import torch

from benchmarks.gpu import scans, trials
from benchmarks.gpu.verdicts import CAPTURED
from benchmarks.verify import relative_error
from speechbrain_ligru_fast import ligru_scan

# Another order of the same sums: a small multiple of the error that the
# reference makes in the same types, and a few roundings of the operands.
REFERENCE_ERRORS = 8
ROUNDINGS = 8

# Operands of a product that rounds float32 to TensorFloat-32.
TF32_EPS = 2**-10


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


def _compare(backend, device, generator, trial):
    """Failures of one scan, as lines."""
    operand, io = trial.operand, trial.io
    scans.allow_tf32(trial.tf32)
    given = scans.draw(generator, **trial.options)
    given = scans.rounded(given, operand, io)
    want = scans.run(given, "reference", "cpu")
    reference = scans.run(given, "reference", "cpu", operand, io)
    try:
        got = scans.run(given, backend, device, operand, io)
    except Exception as error:
        return [f"{backend}: {trial.what}: {type(error).__name__}: {error}"]
    failures = []
    for name, value in want.items():
        most = limit(name, reference, want, operand, trial.tf32)
        error = relative_error(got[name], value)
        # Written so that a NaN fails.
        if not error <= most:
            failures.append(
                f"{backend}: {trial.what}: {name}: "
                f"error {error:.2e} > {most:.2e}"
            )
    return failures


def _compare_all(chosen, backend, device, seed):
    generator = torch.Generator().manual_seed(seed)
    for trial in chosen:
        yield _compare(backend, device, generator, trial)


def small(plan, backend, device, seed):
    """A few steps in every tier and type: whether it computes at all.

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

    Yields
    ------
    list of str
        Failures of each scan.
    """
    yield from _compare_all(trials.small(plan), backend, device, seed)


def _poison(on):
    """Makes uninitialised memory hold NaN."""
    torch.utils.deterministic.fill_uninitialized_memory = True
    torch.use_deterministic_algorithms(on, warn_only=True)


def options(plan, backend, device, seed):
    """Every option at small odd sizes, in every type, over NaN.

    Arguments as in ``small``.
    """
    generator = torch.Generator().manual_seed(seed)
    _poison(True)
    try:
        for trial in trials.options(plan):
            # Where a sum is within a rounding of ReLU's kink a correct
            # backend has another gradient: that does not happen twice.
            kinks = "relu" in trial.options["nonlinearity"]
            for _ in range(2 if kinks else 1):
                wrong = _compare(backend, device, generator, trial)
                if not wrong:
                    break
            yield wrong
    finally:
        _poison(False)


def recompute(plan, backend, device, seed):
    """Gates that the backward computes again; arguments as in ``small``."""
    yield from _compare_all(trials.recompute(plan), backend, device, seed)


def sizes(plan, backend, device, seed):
    """Larger scans, LiGRU and SLiGRU; arguments as in ``small``."""
    yield from _compare_all(trials.sizes(plan), backend, device, seed)


def repeats(plan, backend, device, seed):
    """The same scan gives the same bits; arguments as in ``small``."""
    generator = torch.Generator().manual_seed(seed)
    hidden, batch, directions, steps = plan.sizes[0]
    given = scans.draw(generator, hidden, batch, steps, directions, True)
    first = None
    for i in range(plan.repeats):
        found = scans.run(given, backend, device, "bf16", "fp32")
        first = first or found
        yield [
            f"{backend}: repeat {i}: {name} differs"
            for name in found
            if not torch.equal(found[name], first[name])
        ]


def graph(plan, backend, device, seed):
    """A CUDA graph of a scan replays it; arguments as in ``small``."""
    # The other backends don't promise it.
    if device == "cpu" or backend not in CAPTURED:
        return
    generator = torch.Generator().manual_seed(seed)
    hidden, batch, directions, steps = plan.sizes[0]
    given, other = (
        scans.draw(generator, hidden, batch, steps, directions)
        for _ in range(2)
    )
    w, u = given["w"].float().to(device), given["u"].bfloat16().to(device)
    with torch.no_grad():
        ligru_scan(w, u, directions=directions, backend=backend)
        torch.cuda.synchronize()
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            output = ligru_scan(w, u, directions=directions, backend=backend)
        w.copy_(other["w"])
        captured.replay()
        torch.cuda.synchronize()
        want = ligru_scan(w, u, directions=directions, backend=backend)
        same = torch.equal(output, want)
    yield [] if same else [f"{backend}: CUDA graph: another result"]


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
    as in ``small``.
    """
    if backend != "triton":
        return
    generator = torch.Generator().manual_seed(seed)
    for trial in trials.single_launches(plan):
        with triton_steps():
            yield _compare(backend, device, generator, trial)


CHECKS = {
    check.__name__: check
    for check in (small, repeats, graph, sizes, recompute, launches, options)
}
