"""The layers that take turns on a GPU: ours, and their rivals."""

import torch

from benchmarks import layers
from benchmarks.cases import Case, of_as_many_parameters
from speechbrain_ligru_fast.backends.failures import CannotRun

# Loops that launch kernels each step: on the first shape, in few types.
SLOW = ("torchscript", "speechbrain", "speechbrain-jit", "speechbrain-linear")
# After the name of what computes a model: it has as many parameters as ours.
EQUAL = "-parameters"


class FlashRNN(torch.nn.Module):
    """FlashRNN's LSTM or GRU, of one direction: others it does not have.

    It is Apache-2.0 since 1.0.7; its kernels are compiled with nvcc and ninja.
    """

    def __init__(self, model, hidden, features):
        super().__init__()
        try:
            from flashrnn import flashrnn
        except ImportError as error:
            why = f"pip install flashrnn packaging ninja: {error}"
            raise CannotRun(why) from error
        self.run, self.model, self.hidden = flashrnn, model.lower(), hidden
        gates = {"lstm": 4, "gru": 3}[self.model]
        self.inputs = torch.nn.Linear(features, gates * hidden)
        u = torch.randn(gates, 1, hidden, hidden) / hidden**0.5
        self.u = torch.nn.Parameter(u)
        # A GRU's candidate has two, like cuDNN's.
        self.bias = torch.nn.Parameter(torch.zeros(4, 1, hidden))

    def forward(self, x):
        """Output, as (B, T, H), and the last state."""
        found = self.inputs(x).unflatten(2, (-1, 1, self.hidden))
        u, bias = self.u.to(found.dtype), self.bias.to(found.dtype)
        how = {"backend": "cuda_fused" if x.is_cuda else "vanilla"}
        # It would round all to bfloat16 by itself.
        how |= {"function": self.model, "dtype": str(found.dtype)[6:]}
        states, last = self.run(found, u, bias, **how)
        return states[0].flatten(2), last


def build(name, shape):
    """A layer by its model and what computes it: ours, and the rivals."""
    model, impl = name.split()
    if impl == "flashrnn":
        return FlashRNN(model, shape["hidden"], shape["features"])
    layer = layers.build(impl.removesuffix(EQUAL), case(name, shape))
    return torch.jit.script(layer) if impl == "speechbrain-jit" else layer


def case(name, shape):
    """The case that a row tells of."""
    model, impl = name.split()
    if impl.endswith(EQUAL):
        return of_as_many_parameters(Case("LiGRU", **shape), model)
    return Case(model, **shape)


def timed(shape, precision, backends, first):
    """Names of the layers that take turns on a shape, ours first."""
    whole = first and precision in ("bf16", "fp32")
    fast = [b for b in backends if b not in SLOW]
    impls = [b for b in backends if b in fast or whole]
    if first and precision == "bf16":
        impls += [b + layers.RECOMPUTE for b in fast]
    impls += SLOW[1:] if whole else ()
    found = [f"{model} {i}" for model in ("LiGRU", "SLiGRU") for i in impls]
    found += [f"{m} torch{x}" for m in ("LSTM", "GRU") for x in ("", EQUAL)]
    if shape["directions"] == 1 and precision != "tf32":
        found += ["LSTM flashrnn", "GRU flashrnn"]
    return found
