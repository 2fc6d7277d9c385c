"""Times layers and scans of one implementation beside the yardsticks.

cuDNN's LSTM and GRU take turns with it in the same process; one row per
figure.
"""

import torch

from benchmarks.cases import LIGRU_MODELS, TORCH_MODELS
from benchmarks.gpu import cases, kernels, scans, trials
from benchmarks.gpu.clock import Clock
from benchmarks.gpu.layer import build, columns, training_step
from benchmarks.gpu.presence import require
from benchmarks.impls import RECOMPUTE, warmup_calls
from speechbrain_ligru_fast import ligru_scan
from speechbrain_ligru_fast.backends import choose
from speechbrain_ligru_fast.backends.rows import previous_hidden
from speechbrain_ligru_fast.backends.spec import BACKENDS, ScanSpec

# (name of the figure's type, autocast dtype or None, whether TF32 is on)
PRECISIONS = (
    ("bf16", torch.bfloat16, False),
    ("fp16", torch.float16, False),
    ("tf32", None, True),
    ("fp32", None, False),
)
# One launch or more a step: on few layers, in few types.
SLOW = ("torchscript", "reference", "speechbrain", "speechbrain-jit")


def implementations(case, names, device, dtype):
    """Names of what is to run a layer.

    Arguments
    ---------
    case : Case
        The layer.
    names : list of str
        What is measured in this process.
    device : str
        Where to run.
    dtype : torch.dtype | None
        Of autocast.

    Returns
    -------
    list of str
        ``auto`` among them where it takes what is measured here, for a
        single step: that need not be any backend's, see single.py.
    """
    if case.model in TORCH_MODELS:
        return ["torch"]
    if case.steps > 1:
        return list(names)
    spec = ScanSpec("relu", case.directions, case.model == "SLiGRU")
    chosen = choose("auto", device, dtype or torch.float32, spec, case.steps)
    taken = chosen.__name__.rpartition(".")[2] in names
    return [*(["auto"] if taken else []), *names]


def _wanted(impl, precision, mode):
    """Whether a figure is made: slow ones and variants only in a few."""
    if impl.endswith(RECOMPUTE):
        return precision == "bf16" and mode == "train"
    return impl not in SLOW or precision in ("bf16", "fp32")


def layers(group, names, device, clock, note, precisions=PRECISIONS):
    """Yields a row per layer, implementation, type and mode.

    What has the same type and mode is timed in turn.

    Arguments
    ---------
    group : list of Case
        Layers of one shape; their dtype and mode are not looked at.
    names : list of str
        Implementations of a LiGRU to time.
    device : str
        Where to run.
    clock : Clock
        Times calls.
    note : callable
        Takes the reason why something has no row.
    precisions : tuple
        As ``PRECISIONS``.
    """
    for name, dtype, tf32 in precisions:
        for mode in ("infer", "train"):
            scans.allow_tf32(tf32)
            calls = {}
            for case in group:
                for impl in implementations(case, names, device, dtype):
                    if not _wanted(impl, name, mode):
                        continue
                    try:
                        layer = build(impl, case, device)
                        layer.train(mode == "train")
                        call = training_step(layer, case, device, mode, dtype)
                        clock.warm(call, warmup_calls(impl))
                        calls[case, impl] = call
                    # One that can't run, or has no memory, must not end the
                    # others.
                    except Exception as error:
                        note(f"no row: {impl} {name} {case.name}: {error!r}")
                        scans.expect_usable(device)
            try:
                measured = clock.interleave(calls)
            except Exception as error:
                note(f"no rows: {name} {group[0].name}, {mode}: {error!r}")
                scans.expect_usable(device)
                continue
            for (case, impl), figures in measured.items():
                yield columns(case, impl, name, mode, "layer", figures)


def recurrences(case, impl, device, clock, note, precisions=PRECISIONS):
    """Yields a row per type and mode of a backend's recurrence.

    ``infer`` is the forward, ``backward`` the backend's own part of the
    backward, both the recurrence alone; ``gradients`` is the operator's whole
    backward: what each step started from, the recurrence, the sum of the
    directions, and U's gradient, a GEMM over all steps.

    Arguments
    ---------
    case : Case
        A LiGRU or SLiGRU.
    impl : str
        A backend.
    device, clock, note, precisions
        As in ``layers``.
    """
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(
        case.batch, case.steps, 2 * case.hidden, generator=generator
    ).to(device)
    u = torch.randn(2 * case.hidden, case.hidden, generator=generator)
    u = (u / case.hidden**0.5).to(device)
    for name, dtype, tf32 in precisions:
        scans.allow_tf32(tf32)
        operand = u.to(dtype or torch.float32)
        try:
            for mode, call in scan_calls(case, impl, w, operand):
                measured = clock(call, queued=True)
                yield columns(case, impl, name, mode, "scan", measured)
        except Exception as error:
            note(f"no row: {impl} {name} {case.name}, scan: {error!r}")
            scans.expect_usable(device)


def scan_calls(case, impl, w, u):
    """Yields (mode, call) of a scan; see ``recurrences``.

    Arguments
    ---------
    case : Case
        Says how many directions, and LayerNorm or not.
    impl : str
        A backend.
    w, u : Tensor
        As of ``ligru_scan``.
    """
    layernorm = case.model == "SLiGRU"
    spec = ScanSpec("relu", case.directions, layernorm)

    def scan(u):
        return ligru_scan(
            w,
            u,
            directions=case.directions,
            layernorm=layernorm,
            backend=impl,
        )

    yield "infer", torch.no_grad()(lambda: scan(u))
    module = choose(impl, w.device.type, u.dtype, spec, case.steps)
    with torch.no_grad():
        output, *saved = module.scan_forward(
            spec, w, u, None, None, None, None, None, True
        )
        previous = previous_hidden(output, None, case.directions, None)
        grad = torch.randn_like(output)
    yield (
        "backward",
        torch.no_grad()(
            lambda: module.scan_backward(
                spec, grad, previous, *saved, u, None, None, None
            )
        ),
    )
    leaf = u.clone().requires_grad_()
    output = scan(leaf)
    yield (
        "gradients",
        lambda: torch.autograd.grad(output, leaf, grad, retain_graph=True),
    )


def _rows(child, groups, clock):
    """Yields what the job asks for, the most telling first."""
    job = child.job
    precisions = PRECISIONS
    if job.device == "cpu":
        precisions = precisions[:1] + precisions[-1:]
    for group in groups:
        # The recurrences first: their figures are the target's.
        for case in group:
            if case.model in LIGRU_MODELS and _fast(job.name):
                yield from recurrences(
                    case, job.name, job.device, clock, child.note, precisions
                )
        yield from layers(
            group, job.parts, job.device, clock, child.note, precisions
        )


def _fast(name):
    return name in BACKENDS and name not in SLOW


def work(child):
    """Times the job's implementations, until its time is over.

    Arguments
    ---------
    child : Child
        The process; its job's parts are names of implementations.
    """
    job, plan = child.job, child.job.plan
    if job.name in BACKENDS:
        require(job.name, job.device)
    chosen = {
        "first": plan.cases[: plan.first],
        "rest": plan.cases[plan.first :],
        "slow": plan.slow,
    }[job.shapes]
    if job.name == "cuda" and job.shapes == "first":
        kernels.prepare(trials.timed(chosen), job.device, child.note)
    clock = Clock(job.device, job.figure)
    for row in _rows(child, cases.by_shape(chosen), clock):
        child.row("gpu.csv", row)
        if child.left() < 0:
            child.note(
                f"{job.name}: time is over: "
                f"what follows of the {job.shapes} cases has no rows"
            )
            return
