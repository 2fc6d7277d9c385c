"""Builds a layer of a case, runs it, and names a row of it."""

import speechbrain.nnet.RNN as stock
import torch

import speechbrain_ligru_fast as fast
from benchmarks.cases import TORCH_MODELS
from benchmarks.impls import options as backend_options


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
