"""One call of an implementation: what is timed, checked and weighed."""

import torch

from benchmarks import impls


class Step:
    """A built implementation of a case with its inputs.

    Arguments
    ---------
    impl : str
        Implementation, as in benchmarks.impls.
    case : Case
        What is run.
    dtype : torch.dtype
        Type of parameters and inputs; the case's own when None.

    Example
    -------
    >>> from benchmarks.cases import Case
    >>> step = Step("torch", Case("GRU", 7, 3, 2, 5))
    >>> step.prepare()
    >>> output, _ = step()
    >>> step.x.grad.shape
    torch.Size([2, 5, 3])
    """

    def __init__(self, impl, case, dtype=None):
        self.impl = impl
        self.case = case
        self.module = impls.build(impl, case, dtype)
        self.x, self.hx, self.grad = impls.inputs(case, dtype)
        if case.mode != "infer":
            self.x.requires_grad_()
            if self.hx is not None:
                self.hx.requires_grad_()

    def prepare(self):
        """Forgets the gradients of an earlier call."""
        self.module.zero_grad(set_to_none=True)
        self.x.grad = None
        if self.hx is not None:
            self.hx.grad = None

    def __call__(self):
        """Runs the case's mode; returns output and final state."""
        with (
            torch.set_grad_enabled(self.case.mode != "infer"),
            impls.autocast(self.case),
        ):
            output, state = self.module(self.x, self.hx)
        if self.case.mode == "train":
            output.backward(self.grad.to(output.dtype))
        return output, state
