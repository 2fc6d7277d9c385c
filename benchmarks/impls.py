"""Builds every implementation of a case by its name, with equal weights."""

from contextlib import nullcontext

import speechbrain.nnet.RNN as stock
import torch

import speechbrain_ligru_fast as fast
from benchmarks.cases import TORCH_MODELS
from benchmarks.linear_backward import edited
from speechbrain_ligru_fast.backends import choose
from speechbrain_ligru_fast.backends.spec import ScanSpec

STOCK = "speechbrain"
STOCK_JIT = "speechbrain-jit"
# With `upstream/linear_backward`.
STOCK_LINEAR = "speechbrain-linear"
STOCK_PERTURBED = "speechbrain-perturbed"
TORCH = "torch"
# In a recogniser that does not tell it the lengths.
TORCH_PADDED = "torch-padded"
# The layer's own choice, which for a single step is no backend.
AUTO = "auto"
# After a backend's name: its backward computes the gates again.
RECOMPUTE = "-recompute"

SEED = 1234

# Candidates are kept this far from 0 where rounding is judged: there ReLU's
# slope jumps, so one rounding could change a gradient as much as a mistake.
KINK_DISTANCE = 6.0
# The recurrent weights' scale that leaves the candidates on their side.
RECURRENT_SCALE = 0.25

# TorchScript specialises itself on the first calls; they are no measurement.
_SCRIPTED = (STOCK_JIT, "torchscript", AUTO)


def names():
    """Implementations that can run on the CPU here, ours first."""
    ours = [
        name for name in fast.available_backends() if _refusal(name) is None
    ]
    return [*ours, STOCK, STOCK_JIT, STOCK_LINEAR, TORCH]


def options(impl):
    """A backend's name and what else it takes, as keyword arguments.

    Example
    -------
    >>> options("numba-recompute")
    {'backend': 'numba', 'recompute': True}
    """
    return {
        "backend": impl.removesuffix(RECOMPUTE),
        "recompute": impl.endswith(RECOMPUTE),
    }


def is_ours(impl):
    """Whether an implementation is one of this package's backends."""
    return impl not in (
        STOCK, STOCK_JIT, STOCK_LINEAR, STOCK_PERTURBED, TORCH, TORCH_PADDED
    )  # fmt: skip


def check_names(chosen):
    """Raises ValueError when a chosen implementation cannot run here."""
    allowed = names()
    again = [name + RECOMPUTE for name in allowed if is_ours(name)]
    for name in chosen:
        if name not in [*allowed, *again, AUTO]:
            raise ValueError(
                f"impls: {name!r} cannot run ({_refusal(name)}); allowed: "
                + ", ".join(allowed + again)
            )


def _refusal(backend, dtype=torch.float32, spec=None):
    """Why a backend cannot run on the CPU, or None if it can."""
    backend = options(backend)["backend"]
    try:
        choose(backend, "cpu", dtype, spec or ScanSpec())
    except (RuntimeError, ValueError) as error:
        return str(error)
    return None


def _scan_options(case):
    """Operand type and options of a case's scan, as backends are asked."""
    dtype = torch.bfloat16 if case.dtype == "bf16" else _dtype(case)
    stabilised = case.model == "SLiGRU"
    return dtype, ScanSpec(case.nonlinearity, case.directions, stabilised)


def auto_backend(case):
    """Name of what `auto` takes on the CPU for a case.

    A backend's or, for a single step that it computes without one, AUTO.
    """
    if case.steps == 1 and case.dtype != "bf16" and case.op == "layer":
        return AUTO
    module = choose("auto", "cpu", *_scan_options(case), case.steps)
    return module.__name__.rpartition(".")[2]


def runs(impl, case):
    """Whether an implementation offers a case at all."""
    if case.model in TORCH_MODELS:
        return impl == TORCH
    if is_ours(impl):
        return _refusal(impl, *_scan_options(case)) is None
    if impl == STOCK_LINEAR:
        # The forward's operations are the same.
        return case.op == "layer" and case.mode == "train"
    return impl == STOCK or (impl == STOCK_JIT and case.op == "layer")


def warmup_calls(impl):
    """Calls to make before an implementation runs at its own speed."""
    return 3 if options(impl)["backend"] in _SCRIPTED else 2


def autocast(case):
    """The context that a case's forward runs in."""
    if case.dtype == "bf16":
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return nullcontext()


def inputs(case, dtype=None):
    """Input, starting state and output gradient of a case.

    Arguments
    ---------
    case : Case
        What is run.
    dtype : torch.dtype
        Type of the tensors; the case's own when None.

    Returns
    -------
    tuple
        Three float tensors, the second None without a starting state. They
        are the same numbers in every type.
    """
    generator = torch.Generator().manual_seed(SEED)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    x = draw(*case.input_shape)
    hx = draw(case.layers * case.directions, case.batch, case.hidden)
    grad = draw(case.batch, case.steps, case.directions * case.hidden)
    if case.op == "scan":
        x[..., : case.hidden] += KINK_DISTANCE * draw(case.hidden).sign()
    dtype = dtype or _dtype(case)
    return x.to(dtype), hx.to(dtype) if case.with_hx else None, grad.to(dtype)


def build(impl, case, dtype=None):
    """Builds one implementation of a case.

    Arguments
    ---------
    impl : str
        A backend of this package, alone or with -recompute after it, auto,
        speechbrain, speechbrain-jit, speechbrain-linear or torch.
    case : Case
        What is built; its mode decides between train and eval.
    dtype : torch.dtype
        Type of the parameters; the case's own when None.

    Returns
    -------
    torch.nn.Module
        A module called with the input and a starting state or None that
        returns the output and the final state (None for a scan). All
        implementations of a LiGRU or SLiGRU case hold the same weights.

    Raises
    ------
    ValueError
        If the implementation does not offer the case.

    Example
    -------
    >>> from benchmarks.cases import Case
    >>> layer = build("torch", Case("GRU", 7, 3, 2, 5))
    >>> layer(torch.rand(2, 5, 3))[0].shape
    torch.Size([2, 5, 7])
    """
    if not runs(impl, case):
        raise ValueError(f"impl: {impl!r} does not offer {case.name}")
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(SEED)
        if case.model in TORCH_MODELS:
            module = _torch_layer(case)
        elif case.op == "scan":
            module = _scan(impl, case)
        else:
            module = _layer(impl, case)
    module.to(dtype or _dtype(case)).train(case.mode != "infer")
    return torch.jit.script(module) if impl == STOCK_JIT else module


def _dtype(case):
    return torch.float64 if case.dtype == "fp64" else torch.float32


def _torch_layer(case):
    return getattr(torch.nn, case.model)(
        case.features,
        case.hidden,
        num_layers=case.layers,
        batch_first=True,
        bidirectional=case.bidirectional,
    )


def _layer(impl, case):
    arguments = {
        "hidden_size": case.hidden,
        "input_shape": case.input_shape,
        "nonlinearity": case.nonlinearity,
        "num_layers": case.layers,
        "bias": case.bias,
        "bidirectional": case.bidirectional,
    }
    if case.model == "SLiGRU":
        arguments["ff_normalization"] = case.normalization
        arguments["recurrent_elementwise_affine"] = case.affine
    else:
        arguments["normalization"] = case.normalization
    theirs = edited() if impl == STOCK_LINEAR else stock
    layer = getattr(theirs, case.model)(**arguments)
    _randomise(layer, case)
    if is_ours(impl):
        state = layer.state_dict()
        layer = getattr(fast, case.model)(**arguments, **options(impl))
        layer.load_state_dict(state, strict=True)
    return layer


def _randomise(layer, case):
    """Moves the normalisations away from the identity, in place."""
    for name, value in layer.state_dict().items():
        if name.endswith("u.weight") and case.dtype != "fp64":
            value *= RECURRENT_SCALE
        if "norm." not in name or not value.is_floating_point():
            continue
        noise = torch.rand_like(value) - 0.5
        if name.endswith(("weight", "running_var")):
            value.copy_(1 + noise)
        elif name.endswith("running_mean"):
            value.copy_(noise)
        elif case.bias or "layer_norm" in name:
            value.copy_(noise)
            if case.dtype != "fp64" and "layer_norm" not in name:
                value[: case.hidden] += (
                    KINK_DISTANCE * noise[: case.hidden].sign()
                )


def _scan(impl, case):
    reference = StockScan(case)
    reference.u.weight.data *= RECURRENT_SCALE
    if not is_ours(impl):
        return reference
    scan = FastScan(case, impl)
    scan.u.weight.data.copy_(reference.u.weight.data)
    return scan


class StockScan(stock.LiGRU_Layer):
    """Stock's recurrence alone, on an input that is already projected.

    Arguments
    ---------
    case : Case
        What is run.
    """

    def __init__(self, case):
        super().__init__(
            1,
            case.hidden,
            1,
            case.batch,
            nonlinearity=case.nonlinearity,
            bidirectional=case.bidirectional,
        )
        del self.w, self.norm
        torch.nn.init.orthogonal_(self.u.weight)

    def forward(self, w, hx=None):
        """Runs both directions and joins them."""
        if self.bidirectional:
            w = torch.cat([w, w.flip(1)])
        if hx is None:
            hx = self.h_init.expand(w.size(0), -1)
        h = self._ligru_cell(w, hx)
        if self.bidirectional:
            forward, backward = h.chunk(2)
            h = torch.cat([forward, backward.flip(1)], dim=2)
        return h, None


class FastScan(torch.nn.Module):
    """This package's operator with its weight.

    Arguments
    ---------
    case : Case
        What is run.
    impl : str
        The backend to run it on, alone or with -recompute after it.
    """

    def __init__(self, case, impl):
        super().__init__()
        self.u = torch.nn.Linear(case.hidden, 2 * case.hidden, bias=False)
        self.options = {
            "nonlinearity": case.nonlinearity,
            "directions": case.directions,
            **options(impl),
        }

    def forward(self, w, hx=None):
        """Calls the operator."""
        return fast.ligru_scan(w, self.u.weight, hx, **self.options), None
