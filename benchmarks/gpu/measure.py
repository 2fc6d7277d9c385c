"""Times layers and scans on a device; one row per figure."""

import time

import speechbrain.nnet.RNN as stock
import torch

import speechbrain_ligru_fast as fast
from benchmarks import timing
from benchmarks.cases import TORCH_MODELS
from benchmarks.gpu import scans
from benchmarks.impls import RECOMPUTE
from benchmarks.impls import options as backend_options
from speechbrain_ligru_fast import ligru_scan

# (name of the figure's type, autocast dtype or None, whether TF32 is on)
PRECISIONS = (
    ("bf16", torch.bfloat16, False),
    ("fp16", torch.float16, False),
    ("tf32", None, True),
    ("fp32", None, False),
)
WARMUPS = 3
MAX_RUNS = 30
# Cycles, about half a millisecond: the launches are queued meanwhile.
AHEAD = 1_000_000
# One launch or more a step: rivals, timed last, on few layers, in few types.
SLOW = ("torchscript", "reference", "speechbrain", "speechbrain-jit")


class Clock:
    """Times calls on one device.

    Arguments
    ---------
    device : str
        cpu or cuda.
    seconds : float
        Time to spend on one figure; thrice that for a first three calls.
    """

    def __init__(self, device, seconds):
        self.device = device
        self.seconds = seconds

    def _once(self, call, queued):
        if self.device == "cpu":
            begin = time.perf_counter()
            call()
            return 1000 * (time.perf_counter() - begin)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        if queued:
            torch.cuda._sleep(AHEAD)
        begin.record()
        call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    def __call__(self, call, queued=False):
        """Columns of a row: percentiles, and peak memory on a GPU.

        Arguments
        ---------
        call : callable
            What to time.
        queued : bool
            Whether a GPU's time alone counts, without what launching costs
            where it has nothing else to do.
        """
        begin = time.perf_counter()
        for _ in range(WARMUPS):
            call()
            # A slow layer has no time for more.
            if time.perf_counter() - begin > self.seconds:
                break
        peak = ""
        if self.device != "cpu":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        times = []
        begin = time.perf_counter()
        while len(times) < 3 or (
            len(times) < MAX_RUNS and time.perf_counter() - begin < self.seconds
        ):
            times.append(self._once(call, queued))
        if self.device != "cpu":
            grown = torch.cuda.max_memory_allocated() - before
            peak = round(grown / 2**20, 1)
        return {**timing.percentiles(times), "peak_mb": peak}


def implementations(case, backends):
    """Names of what can run a layer.

    A fast backend comes a second time, with gates that are computed again.
    """
    if case.model in TORCH_MODELS:
        return ["torch"]
    again = [name + RECOMPUTE for name in backends if name not in SLOW]
    # A single step need not be any backend's: see single.py. Its peers have
    # a turn of their own.
    once = case.steps == 1 and "speechbrain" not in backends
    return [*(["auto"] if once else []), *backends, *again]


def build(impl, case, device):
    """A layer of a case on a device, in float32."""
    if case.model in TORCH_MODELS:
        layer = getattr(torch.nn, case.model)(
            case.features,
            case.hidden,
            batch_first=True,
            bidirectional=case.bidirectional,
        )
    else:
        options = dict(
            hidden_size=case.hidden,
            input_shape=case.input_shape,
            bidirectional=case.bidirectional,
        )
        if impl.startswith("speechbrain"):
            layer = getattr(stock, case.model)(**options)
        else:
            layer = getattr(fast, case.model)(
                **options, **backend_options(impl)
            )
    layer.to(device)
    return torch.jit.script(layer) if impl == "speechbrain-jit" else layer


def training_step(layer, case, device, mode, dtype):
    """A call without arguments that runs a layer on random input.

    Arguments
    ---------
    layer : torch.nn.Module
        Called with the input and, where the case has one, a state.
    case : Case
        Its shape.
    device : str
        Where to run.
    mode : str
        infer, or train for the gradients of all parameters as well.
    dtype : torch.dtype | None
        Of autocast.

    Returns
    -------
    callable
    """
    x = torch.randn(case.input_shape, device=device)
    width = case.directions * case.hidden
    grad = torch.randn(case.batch, case.steps, width, device=device)
    given = [x]
    if case.with_hx:
        state = torch.randn(
            case.directions, case.batch, case.hidden, device=device
        )
        given.append((state, state) if case.model == "LSTM" else state)

    def call():
        with (
            torch.set_grad_enabled(mode == "train"),
            torch.autocast(device, dtype, dtype is not None),
        ):
            output = layer(*given)[0]
        if mode == "train":
            layer.zero_grad(set_to_none=True)
            output.backward(grad.to(output.dtype))
        return output

    return call


def columns(case, impl, dtype, mode, op, measured):
    """A row without its stamp: what ran, and its figures."""
    return {
        "model": case.model,
        "impl": impl,
        "directions": case.directions,
        "layers": 1,
        "features": case.features,
        "hidden": case.hidden,
        "batch": case.batch,
        "steps": case.steps,
        "with_hx": case.with_hx,
        "dtype": dtype,
        "mode": mode,
        **measured,
        "op": op,
        "us_per_step": round(1000 * measured["p50_ms"] / case.steps, 4),
    }


def layers(case, backends, device, clock, note, precisions=PRECISIONS):
    """Yields a row per implementation, type and mode of a layer.

    Arguments
    ---------
    case : Case
        The layer; its dtype and mode are not looked at.
    backends : list of str
        What to time.
    device : str
        Where to run.
    clock : Clock
        Times a call.
    note : callable
        Takes the reason why something has no row.
    precisions : tuple
        As ``PRECISIONS``.
    """
    for impl in implementations(case, backends):
        for name, dtype, tf32 in precisions:
            if impl in SLOW and name not in ("bf16", "fp32"):
                continue
            again = impl.endswith(RECOMPUTE)
            if again and name != "bf16":
                continue
            scans.allow_tf32(tf32)
            try:
                layer = build(impl, case, device)
                for mode in ("train",) if again else ("infer", "train"):
                    layer.train(mode == "train")
                    call = training_step(layer, case, device, mode, dtype)
                    yield columns(case, impl, name, mode, "layer", clock(call))
            # One that can't run, or has no memory, must not end the others.
            except Exception as error:
                note(f"no row: {impl} {name} {case.name}: {error!r}")


def recurrences(case, backends, device, clock, note):
    """Yields a row per backend, type and direction of the recurrence alone.

    Arguments as in ``layers``; case must be a LiGRU or SLiGRU.
    """
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(
        case.batch, case.steps, 2 * case.hidden, generator=generator
    ).to(device)
    u = torch.randn(2 * case.hidden, case.hidden, generator=generator)
    u = (u / case.hidden**0.5).to(device)
    for impl in backends:
        if impl in SLOW:
            continue
        for name, dtype, tf32 in PRECISIONS:
            scans.allow_tf32(tf32)
            operand = u.to(dtype or torch.float32).requires_grad_()
            try:
                for mode, call in _scan_calls(case, impl, w, operand):
                    measured = clock(call, queued=True)
                    yield columns(case, impl, name, mode, "scan", measured)
            except Exception as error:
                note(f"no row: {impl} {name} {case.name}, scan: {error!r}")


def _scan_calls(case, impl, w, u):
    """(mode, call) of a scan's two directions."""

    def scan():
        return ligru_scan(
            w,
            u,
            directions=case.directions,
            layernorm=case.model == "SLiGRU",
            backend=impl,
        )

    yield "infer", torch.no_grad()(scan)
    output = scan()
    grad = torch.randn_like(output)
    yield (
        "backward",
        lambda: torch.autograd.grad(output, u, grad, retain_graph=True),
    )
