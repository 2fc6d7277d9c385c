"""Other ways to run a LiGRU on a GPU, timed beside the backends.

Layers: SpeechBrain's own under torch.compile, and its loop in a CUDA graph.
Recurrences, forward only: cuBLAS and one elementwise kernel a step, and cuDNN's
fused step, each in a CUDA graph, so that launching from Python costs nothing;
and the Triton kernels with a launch a step, with and without a graph.
"""

import torch

from benchmarks.gpu import checks, cudnn_graph, scans
from benchmarks.gpu.clock import Clock
from benchmarks.gpu.layer import build, columns, training_step
from benchmarks.verify import relative_error

# torch.compile unrolls time: longer ones take minutes to compile.
MOST_COMPILED_STEPS = 25
# What has to be left of the time to begin with that.
COMPILE_SECONDS = 60
WARMUPS = 3


def captured(call, device):
    """The kernels of a call, replayed as one CUDA graph.

    Arguments
    ---------
    call : callable
        Launches kernels, always the same; what it returns stays in place.
    device : str
        On ``cpu`` there is nothing to capture: the call itself.

    Returns
    -------
    callable
    """
    if device == "cpu":
        return call
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARMUPS):
            call()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call()

    def replay():
        graph.replay()
        return result

    return replay


def _gates(product, w, h):
    """One step's elementwise part: Inductor makes it one kernel."""
    a, z = (w + product).chunk(2, 1)
    candidate = torch.relu(a)
    new = candidate + torch.sigmoid(z) * (h - candidate)
    return new, new.to(product.dtype)


class CublasSteps:
    """A product by cuBLAS and an elementwise kernel per step.

    What fast_ligru and haste do. The product is rounded to the operands'
    type, as theirs is.

    Arguments
    ---------
    w : Tensor
        (B, T, 2H) projected input.
    u : Tensor
        (2H, H) weights, whose dtype is that of the operands.
    directions : int
        1 or 2.
    """

    def __init__(self, w, u, directions):
        self.u, self.directions = u, directions
        self.gates = torch.compile(_gates, dynamic=False)

    def __call__(self, w):
        """(B, T, D * H) states, from a zero state."""
        w = scans.by_step(w, self.directions)
        h = torch.zeros(w.size(1), self.u.size(1), device=w.device)
        operand = h.to(self.u.dtype)
        found = []
        for step in w:
            h, operand = self.gates(operand @ self.u.t(), step, h)
            found.append(h)
        return scans.by_utterance(torch.stack(found), self.directions)


class TritonSteps:
    """The Triton backend, made to launch its kernel once a step.

    Arguments
    ---------
    w, u, directions
        As in ``CublasSteps``.
    graphs : bool
        Whether the backend may put the launches in a CUDA graph.
    """

    def __init__(self, w, u, directions, graphs=True):
        from speechbrain_ligru_fast.backends import triton

        reason = triton.unavailable(w.device.type, u.dtype, None)
        if reason is not None:
            raise RuntimeError(reason)
        self.u, self.directions, self.graphs = u, directions, graphs

    def __call__(self, w):
        """(B, T, D * H) states, from a zero state."""
        from speechbrain_ligru_fast import ligru_scan

        with checks.triton_steps(self.graphs):
            return ligru_scan(
                w, self.u, directions=self.directions, backend="triton"
            )


class TritonLaunches(TritonSteps):
    """``TritonSteps`` without a graph."""

    def __init__(self, w, u, directions):
        super().__init__(w, u, directions, graphs=False)


# name -> (class, whether to capture its calls here)
RECURRENCES = {
    "cublas-graph": (CublasSteps, True),
    "cudnn-graph": (cudnn_graph.CudnnSteps, True),
    "triton-steps": (TritonSteps, False),
    "triton-launches": (TritonLaunches, False),
}


def prepared(name, w, u, directions, device):
    """A call without arguments that runs a rival's recurrence.

    Arguments
    ---------
    name : str
        One of ``RECURRENCES``.
    w, u, directions
        As in ``CublasSteps``.
    device : str
        cpu or cuda.

    Returns
    -------
    callable
    """
    make, capture = RECURRENCES[name]
    run = make(w, u, directions)

    def call():
        with torch.no_grad():
            return run(w)

    return captured(call, device) if capture else call


def wrong(name, plan, device, seed):
    """Failures of a rival's recurrence against float64, as lines.

    Arguments
    ---------
    name : str
        One of ``RECURRENCES``.
    plan : Plan
        Its first size is run.
    device : str
        cpu or cuda.
    seed : int
        Of the random inputs.

    Returns
    -------
    list of str
    """
    generator = torch.Generator().manual_seed(seed)
    hidden, batch, directions, steps = plan.sizes[0]
    failures, call = [], None
    # More than once: a graph is to give no stale results.
    for turn in range(3):
        given = scans.draw(generator, hidden, batch, steps, directions)
        given = scans.rounded(given, "bf16", "fp32")
        if call is None:
            w = given["w"].float().to(device)
            u = given["u"].bfloat16()
            call = prepared(name, w, u.to(device), directions, device)
        given["u"] = u.double()
        w.copy_(given["w"])
        want = scans.run(given, "reference", "cpu")
        reference = scans.run(given, "reference", "cpu", "bf16", "fp32")
        most = checks.limit("output", reference, want, "bf16")
        error = relative_error(call().double().cpu(), want["output"])
        if not error <= most:
            failures.append(
                f"{name}: call {turn}: error {error:.2e} > {most:.2e}"
            )
    return failures


def recurrence(name, case, plan, device, seed, clock, note):
    """Yields a row of a rival's recurrence, forward in bfloat16.

    Arguments
    ---------
    name : str
        One of ``RECURRENCES``.
    case : Case
        The layer.
    plan : Plan
        Says what is verified first.
    device : str
        cpu or cuda.
    seed : int
        Of the inputs that are verified.
    clock : Clock
        Times a call.
    note : callable
        Takes the reason why a rival has no row.
    """
    generator = torch.Generator().manual_seed(1)
    shape = case.batch, case.steps, 2 * case.hidden
    w = torch.randn(shape, generator=generator).to(device)
    u = torch.randn(2 * case.hidden, case.hidden, generator=generator)
    u = (u / case.hidden**0.5).to(device, torch.bfloat16)
    try:
        failures = wrong(name, plan, device, seed)
        for line in failures:
            note(f"FAILED {line}")
        if failures:
            return
        call = prepared(name, w, u, case.directions, device)
        measured = clock(call)
    # Rivals are libraries of others: one that fails has no row.
    except Exception as error:
        note(f"no {name}: {type(error).__name__}: {error}")
        return
    yield columns(case, name, "bf16", "infer", "scan", measured)


def layer(name, case, device, clock, note, left):
    """Yields rows of a way to run SpeechBrain's layer, in bfloat16.

    Arguments as in ``recurrence``; name is speechbrain-graph or
    speechbrain-compile, ``left`` tells the seconds that are left.
    """
    compiled = name == "speechbrain-compile"
    if compiled and case.steps > MOST_COMPILED_STEPS:
        return
    if compiled and left() < COMPILE_SECONDS:
        note(f"no {name}: no time to compile it")
        return
    for mode in ("infer", "train"):
        try:
            module = build("speechbrain", case, device).train(mode == "train")
            if compiled:
                module = torch.compile(module, dynamic=False)
            call = training_step(module, case, device, mode, torch.bfloat16)
            if not compiled:
                call = captured(call, device)
            # Once more is compiled when gradients have a place.
            measured = clock(call, least=WARMUPS)
        except Exception as error:
            note(f"no {name}, {mode}: {type(error).__name__}: {error}")
            continue
        yield columns(case, name, "bf16", mode, "layer", measured)


def work(child):
    """Verifies and times the job's rival on the plan's layers for rivals.

    Arguments
    ---------
    child : Child
        The process.
    """
    job = child.job
    clock = Clock(job.device, job.figure)
    for case in job.plan.rivals:
        if child.left() < 0:
            child.note(f"no {job.name} on {case.name}: no time")
            continue
        if job.name in RECURRENCES:
            rows = recurrence(
                job.name, case, job.plan, job.device, job.seed, clock,
                child.note,
            )  # fmt: skip
        else:
            rows = layer(
                job.name, case, job.device, clock, child.note, child.left
            )
        for row in rows:
            child.row("gpu.csv", row)
