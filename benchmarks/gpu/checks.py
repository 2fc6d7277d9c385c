"""Does a backend compute right on this GPU? Random scans against float64.

A check yields the failures of one scan after another, each a list of lines, so
that it can stop between two of them.
"""

import contextlib
import itertools
import time
from functools import partial

import torch

import speechbrain_ligru_fast as fast
from benchmarks.verify import relative_error
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES

BEGUN, PASSED, FAILED, STOPPED = "BEGUN", "passed", "FAILED", "STOPPED"
# What a backend must have passed to be timed.
NEEDED = ("small", "layers", "sizes")
# Backends that promise to be captured in a CUDA graph.
CAPTURED = ("cuda", "triton")
# In a broken exchange each scan waits for seconds.
MOST_FAILURES = 3
# Runs of a scan, which must give the same bits.
RUNS = 4
# Seconds that every option, which takes most time, leaves the last check.
LEFT = 10

# What is run on a device; a CPU takes the same path in seconds.
SIZES = {
    "cuda": dict(
        # H of the first scans: on an H200 the CUDA backend's two tiers.
        small=(64, 1024),
        # H of the scans with every option, and every how many-th of these.
        odd=(16, 33, 100, 512, 777),
        every=1,
        # (H, batch, directions, steps) of larger scans.
        large=(
            (256, 8, 2, 50),
            (512, 8, 2, 50),
            (512, 64, 2, 20),
            (1024, 24, 2, 30),
            (2048, 16, 1, 20),
        ),
        # H of whole layers.
        layer=33,
    ),
    "cpu": dict(
        small=(16,), odd=(16,), every=9, large=((16, 3, 2, 5),), layer=16
    ),
}
LEAVES = ("w", "u", "h0", "ln_weight", "ln_bias")
DTYPES = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
# Types of the products' operands and of input and output.
TYPES = (("fp32", "fp32"), ("bf16", "fp32"), ("bf16", "bf16"), ("fp16", "fp16"))
# Another order of the same sums: a small multiple of the error that the
# reference makes in the same types, and a few roundings of the operands.
REFERENCE_ERRORS, ROUNDINGS = 8, 8
# Of an operand that is rounded to TensorFloat-32.
TF32_EPS = 2**-10


def small(sizes):
    """A few steps in every tier and type: whether it computes at all."""
    for hidden in sizes["small"]:
        options = dict(hidden=hidden, directions=2, nonlinearity="tanh")
        yield from ((options, types, False) for types in TYPES)
        yield options, TYPES[0], True
        yield options | dict(recompute=True), TYPES[1], False
        # A decoder's step: a backend may launch it, then capture and replay.
        yield from [(options | dict(steps=1), TYPES[1], False)] * 3


def large(sizes):
    """Larger scans, LiGRU and SLiGRU, exact and with TF32."""
    for size, layernorm in itertools.product(sizes["large"], (False, True)):
        options = dict(zip(("hidden", "batch", "directions", "steps"), size))
        options |= dict(layernorm=layernorm, nonlinearity="tanh")
        options["given"] = ["h0"]
        yield from ((options, types, False) for types in TYPES[:2])
        yield options, TYPES[0], True


def every_option(sizes):
    """Every option at small odd sizes; what is not multiplied takes turns."""
    combinations = itertools.product(
        (1, 2),
        ([], ["layernorm"], ["layernorm", "ln_weight", "ln_bias"]),
        *([[], [name]] for name in ("lengths", "h0", "mask")),
    )
    turns = zip(
        itertools.cycle(sizes["odd"]),
        itertools.cycle(NONLINEARITIES),
        itertools.cycle((False, False, True)),
        # Of a length that shares no factor with the others'.
        itertools.cycle(TYPES + TYPES[1:]),
    )
    chosen = itertools.islice(combinations, 0, None, sizes["every"])
    for (directions, *parts), (*turn, types) in zip(chosen, turns):
        options = dict(zip(("hidden", "nonlinearity", "recompute"), turn))
        given = sum(parts, [])
        options |= dict(directions=directions, layernorm="layernorm" in given)
        options["given"] = [name for name in given if name != "layernorm"]
        yield options, types, False


def allow_tf32(on):
    """Whether float32 products may be TF32; importing SpeechBrain allows it."""
    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on


def draw(
    generator, hidden, batch=3, steps=7, directions=1, given=(), **options
):
    """Arguments of ``ligru_scan`` on the CPU in float64, and ``grad``.

    Example
    -------
    >>> found = draw(torch.Generator(), 5, directions=2, given=["h0"])
    >>> found["grad"].shape, found["h0"].shape
    (torch.Size([3, 7, 10]), torch.Size([6, 5]))
    """
    normal = partial(torch.randn, generator=generator, dtype=torch.float64)
    rows = directions * batch
    lengths = torch.randint(0, steps + 1, (batch,), generator=generator)
    optional = {
        "lengths": lengths,
        "h0": normal(rows, hidden),
        "mask": (normal(rows, hidden) > -0.5).double() / 0.7,
        "ln_weight": 1 + 0.3 * normal(2 * hidden),
        "ln_bias": 0.3 * normal(2 * hidden),
    }
    return {
        "w": normal(batch, steps, 2 * hidden),
        "u": normal(2 * hidden, hidden) / hidden**0.5,
        "grad": normal(batch, steps, directions * hidden),
        "directions": directions,
        **options,
        **{name: optional[name] for name in given},
    }


def run(given, backend, device, types=None, exact=False):
    """Output and gradients of a scan by name, in float64 on the CPU.

    Without ``types``, one of TYPES, in float64; with ``exact``, what they hold
    in float64.
    """
    moved = {}
    for name, value in given.items():
        if torch.is_tensor(value):
            if value.is_floating_point() and types is not None:
                value = value.to(DTYPES[types[0 if name == "u" else 1]])
                value = value.double() if exact else value
            value = value.to(device)
            if name in LEAVES:
                value.requires_grad_()
        moved[name] = value
    grad = moved.pop("grad")
    leaves = {name: moved[name] for name in LEAVES if name in moved}
    output = fast.ligru_scan(**moved, backend=backend)
    grads = torch.autograd.grad(output, leaves.values(), grad)
    found = {"output": output}
    found.update((f"grad {name}", g) for name, g in zip(leaves, grads))
    return {name: x.detach().double().cpu() for name, x in found.items()}


def judge(results, backend, device, types, tf32=False, roundings=ROUNDINGS):
    """What is wrong with a backend's ``results``, as lines.

    These are a function of backend, device, types and exact, as ``run`` is.
    """
    allow_tf32(tf32)
    eps = TF32_EPS if tf32 else torch.finfo(DTYPES[types[0]]).eps
    want = results("reference", "cpu", types, True)
    reference = results("reference", "cpu", types)
    try:
        got, *others = (results(backend, device, types) for _ in range(RUNS))
    except Exception as error:
        return [repr(error)]
    wrong = []
    for name, value in want.items():
        most = REFERENCE_ERRORS * relative_error(reference[name], value)
        most += roundings * eps
        error = relative_error(got[name], value)
        # Written so that a NaN fails.
        if not error <= most:
            wrong.append(f"{name}: error {error:.2e} > {most:.2e}")
        elif not all(torch.equal(other[name], got[name]) for other in others):
            wrong.append(f"{name}: other bits in another run")
    return wrong


@contextlib.contextmanager
def poisoned():
    """Uninitialised memory holds NaN."""
    torch.utils.deterministic.fill_uninitialized_memory = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def scans(trials, backend, device, generator):
    """Compares scans: their options, types and whether with TF32."""
    for options, types, tf32 in trials(SIZES[device]):
        # Where a sum is within a rounding of ReLU's kink a correct backend has
        # another gradient: that does not happen twice.
        for _ in range(2 if "relu" in options["nonlinearity"] else 1):
            results = partial(run, draw(generator, **options))
            with poisoned():
                wrong = judge(results, backend, device, types, tf32)
            if not wrong:
                break
        what = f"{'/'.join(types)}{', TF32' * tf32} {options}"
        yield [f"{what}: {line}" for line in wrong]


def layers(backend, device, generator):
    """Whole layers, bidirectional and stacked, with lengths, in float32."""
    hidden = SIZES[device]["layer"]
    options = dict(hidden_size=hidden, input_shape=(3, 13, 7), num_layers=2)
    options |= dict(nonlinearity="tanh", bidirectional=True)

    def results(model, weights, x, grad, backend, device, types, exact=False):
        layer = model(**options, backend=backend)
        layer.load_state_dict(weights)
        place = device, torch.float64 if exact else torch.float32
        lengths = torch.tensor([1.0, 0.4, 0.7], device=device)
        output, hidden = layer.to(*place)(x.to(*place), None, lengths)
        output.backward(grad.to(*place))
        found = {"output": output, "hidden": hidden}
        found |= {name: p.grad for name, p in layer.named_parameters()}
        return {n: v.detach().double().cpu() for n, v in found.items()}

    for model in (fast.LiGRU, fast.SLiGRU):
        x = torch.randn(3, 13, 7, generator=generator)
        grad = torch.randn(3, 13, 2 * hidden, generator=generator)
        made = partial(results, model, model(**options).state_dict(), x, grad)
        # Not how exact a scan is, but whether all around it is right.
        wrong = judge(made, backend, device, TYPES[0], roundings=1000)
        yield [f"{model.__name__}: {line}" for line in wrong]


def graph(backend, device, generator):
    """A CUDA graph of a scan replays it on other data."""
    # The other backends don't promise it.
    if backend not in CAPTURED or not torch.cuda.is_available():
        return
    given, other = (draw(generator, 256, 8, 50) for _ in range(2))
    w, u = given["w"].float().to(device), given["u"].bfloat16().to(device)
    with torch.no_grad():
        fast.ligru_scan(w, u, backend=backend)
        torch.cuda.synchronize()
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            output = fast.ligru_scan(w, u, backend=backend)
        w.copy_(other["w"])
        captured.replay()
        torch.cuda.synchronize()
        same = torch.equal(output, fast.ligru_scan(w, u, backend=backend))
    yield [] if same else ["another result"]


# In this order. A capture that fails leaves torch in disorder: the last.
CHECKS = {
    "small": partial(scans, small),
    "layers": layers,
    "sizes": partial(scans, large),
    "options": partial(scans, every_option),
    "graph": graph,
}


def verify(name, job):
    """Runs one check while there is time; records and returns its verdict."""
    begin, runs, failures, verdict = time.monotonic(), 0, 0, None
    row = {"backend": job.name, "check": name}
    # What stands if this process dies.
    job.row("checks.csv", row | {"verdict": BEGUN})
    generator = torch.Generator().manual_seed(job.seed)
    found = CHECKS[name](job.name, job.device, generator)
    while verdict is None:
        if failures == MOST_FAILURES:
            verdict = FAILED
        elif job.left() < (LEFT if name == "options" else 0):
            verdict = FAILED if failures else STOPPED
        elif (wrong := next(found, None)) is None:
            verdict = FAILED if failures else PASSED
        else:
            for line in wrong:
                job.note(f"FAILED {job.name}: {name}: {line}")
            runs += 1
            failures += bool(wrong)
    row |= {"verdict": verdict, "runs": runs, "failures": failures}
    row["seconds"] = round(time.monotonic() - begin, 1)
    job.note(", ".join(f"{key} {value}" for key, value in row.items()))
    job.row("checks.csv", row)
    return verdict


def work(job):
    """Runs the checks that have not passed."""
    verdicts = job.verdicts(job.name)
    for name in CHECKS:
        if verdicts[name] != PASSED:
            verdicts[name] = verify(name, job)
        # Nothing else can pass then, and each scan may wait for seconds.
        if verdicts["small"] != PASSED:
            break


def watched(job):
    """Runs a few scans, for a tool to watch."""
    generator = torch.Generator().manual_seed(job.seed)
    for layernorm, types in itertools.product((False, True), TYPES[:2]):
        given = draw(generator, 64, 3, 4, 2, ["lengths"], layernorm=layernorm)
        run(given, job.name, job.device, types)


def refusal(verdicts):
    """Why a backend with these verdicts is not to be timed; none: it may be."""
    return [
        f"{name} {verdict}"
        for name, verdict in verdicts.items()
        # Nothing that is timed rests on a graph.
        if (verdict != PASSED and name in NEEDED)
        or (verdict in (BEGUN, FAILED) and name != "graph")
    ]
