"""Parity with SpeechBrain's layers, checked before anything is timed.

Two questions, with limits that follow from the arithmetic:

- In float64, at small odd sizes, for every combination of options: are
  outputs within 1e-10 and gradients within 1e-8 of stock's?
- In the timed type, at the timed size: is the error against stock in float64
  at most a small multiple of what stock itself makes in that type?

Errors are the largest difference over the largest expected magnitude.
"""

import math
from dataclasses import dataclass, replace

import torch

from benchmarks import impls
from benchmarks.step import Step

OUTPUT_LIMIT = 1e-10
GRADIENT_LIMIT = 1e-8

# Another order of the same sums: its error is of stock's size, not equal.
STOCK_ERRORS = 4
# A few roundings, for quantities that stock happens to get exactly.
ROUNDINGS = 4

# Also under autocast: what it leaves alone stays in float32.
_EPS = torch.finfo(torch.float32).eps


@dataclass(frozen=True)
class Comparison:
    """One quantity of one implementation against the truth.

    Arguments
    ---------
    impl : str
        Implementation that was judged.
    case : Case
        What was run.
    quantity : str
        output, hidden, the name of a buffer, or "grad" and a name.
    error : float
        Relative error; infinite if the quantity could not be had.
    limit : float
        Largest error that passes.
    reason : str
        Why the quantity could not be had.
    """

    impl: str
    case: object
    quantity: str
    error: float
    limit: float
    reason: str = ""

    @property
    def ok(self):
        """Whether it passes; a NaN does not."""
        return self.error <= self.limit

    @property
    def is_gradient(self):
        """Whether it is a gradient."""
        return self.quantity.startswith("grad ")

    def __str__(self):
        detail = self.reason or f"error {self.error:.2e} > {self.limit:.2e}"
        return f"{self.impl}: {self.case.name}: {self.quantity}: {detail}"


def quantities(impl, case, dtype=None):
    """Runs a case once and returns all that can be compared, by name.

    Arguments
    ---------
    impl : str
        Implementation, as in benchmarks.impls.
    case : Case
        What is run.
    dtype : torch.dtype
        Type of parameters and inputs; the case's own when None.

    Returns
    -------
    dict
        Name -> float64 tensor. Stock's bidirectional final state is left
        out: its layout is wrong (docs/differences.md).
    """
    step = Step(impl, case, dtype)
    output, state = step()
    found = {"output": output}
    if state is not None and not case.bidirectional:
        found["hidden"] = state
    if case.mode == "train":
        leaves = [("x", step.x), ("hx", step.hx)]
        leaves += step.module.named_parameters()
        found.update(
            (f"grad {name}", leaf.grad)
            for name, leaf in leaves
            if leaf is not None and leaf.requires_grad
        )
        found.update(
            (name, value)
            for name, value in step.module.named_buffers()
            if "running" in name
        )
    return {
        name: None if value is None else value.detach().double()
        for name, value in found.items()
    }


def relative_error(got, want):
    """Largest difference over the largest expected magnitude.

    Example
    -------
    >>> relative_error(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    0.5
    """
    difference = (got - want).abs().max().item()
    scale = want.abs().max().item()
    return difference / scale if scale > 0 else difference


def _compare(impl, case, want, limits):
    """Comparisons of one implementation with the expected quantities."""
    try:
        got = quantities(impl, case)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        return [Comparison(impl, case, "run", math.inf, 0.0, reason)]
    found = []
    for name in sorted(want.keys() | got.keys()):
        expected, value = want.get(name), got.get(name)
        if expected is None or value is None:
            reason = "missing" if value is None else "unexpected"
            error, limit = math.inf, 0.0
        elif value.shape != expected.shape:
            reason = f"shape {tuple(value.shape)}, not {tuple(expected.shape)}"
            error, limit = math.inf, 0.0
        else:
            reason = ""
            error, limit = relative_error(value, expected), limits[name]
        found.append(Comparison(impl, case, name, error, limit, reason))
    return found


def check_options(chosen, cases):
    """Compares backends with stock in float64.

    Arguments
    ---------
    chosen : list
        Implementations; only this package's are judged.
    cases : iterable of Case
        Small cases of type fp64.

    Returns
    -------
    list
        One Comparison per implementation, case and quantity.
    """
    found = []
    for case in cases:
        want = quantities(impls.STOCK, case)
        limits = {
            name: GRADIENT_LIMIT if name.startswith("grad ") else OUTPUT_LIMIT
            for name in want
        }
        for impl in filter(impls.is_ours, chosen):
            if impls.runs(impl, case):
                found += _compare(impl, case, want, limits)
    return found


def check_timed(chosen, cases):
    """Compares what will be timed, at its size and type, with float64.

    Arguments
    ---------
    chosen : list
        Implementations to judge; stock's eager layer is the yardstick.
    cases : iterable of Case
        The cases to be timed.

    Returns
    -------
    list
        One Comparison per implementation, case and quantity.
    """
    # The forward mode computes what the train mode computes first.
    checked = dict.fromkeys(
        replace(case, mode="train" if case.mode == "forward" else case.mode)
        for case in cases
        if impls.runs(impls.STOCK, case)
    )
    found = []
    for case in checked:
        want = quantities(impls.STOCK, case, torch.float64)
        yardstick = quantities(impls.STOCK, case)
        limits = {
            name: STOCK_ERRORS * relative_error(yardstick[name], value)
            + ROUNDINGS * _EPS
            for name, value in want.items()
        }
        for impl in chosen:
            if impl != impls.STOCK and impls.runs(impl, case):
                found += _compare(impl, case, want, limits)
    return found


def summarise(comparisons):
    """The worst error per implementation, model and type.

    Arguments
    ---------
    comparisons : list of Comparison
        What was found.

    Returns
    -------
    list
        One dict of result columns each.
    """
    groups = {}
    for found in comparisons:
        key = found.impl, found.case.model, found.case.op, found.case.dtype
        groups.setdefault(key, []).append(found)
    return [
        {
            "model": model,
            "impl": impl,
            "op": op,
            "dtype": dtype,
            "cases": len({found.case for found in group}),
            "output_error": _worst(group, gradients=False),
            "gradient_error": _worst(group, gradients=True),
            "share_of_limit": f"{max(c.error / c.limit for c in group):.3g}",
        }
        for (impl, model, op, dtype), group in groups.items()
    ]


def _worst(comparisons, gradients):
    errors = [c.error for c in comparisons if c.is_gradient == gradients]
    return f"{max(errors):.3g}" if errors else ""
