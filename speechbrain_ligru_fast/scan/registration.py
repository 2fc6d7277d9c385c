"""Operators of torch whose first call in eager mode imports no compiler."""

import functools
import sys

import torch

NAMESPACE = "speechbrain_ligru_fast"


def custom_op(name):
    """Registers a function as an operator of torch.

    ``torch.library.custom_op`` does the same, but its operators import
    ``torch._dynamo``, and with it sympy and Triton, when they are first
    called: about as long as importing torch itself, in every process.

    torch.compile keeps graphs on disk, and finds them by the names and
    constant arguments of their operators: one that was made with an earlier
    fake would run. So an operator has an argument ``version``, which whoever
    changes its fake or its formula of gradients raises, the default staying
    what saved models mean; tests/scan/test_registration_versions.py watches.

    Arguments
    ---------
    name : str
        ``namespace::name``. The function changes none of its arguments, and
        its annotations are the operator's schema.

    Returns
    -------
    Callable
        A decorator, which returns the operator as torch.ops has it.

    Example
    -------
    >>> @custom_op("speechbrain_ligru_fast::doubled")
    ... def doubled(x: torch.Tensor) -> torch.Tensor:
    ...     return 2 * x
    >>> doubled(torch.ones(2))
    tensor([2., 2.])
    """

    def register(function):
        schema = torch.library.infer_schema(function, mutates_args=())
        torch.library.define(name, schema, tags=(torch.Tag.pt2_compliant_tag,))
        torch.library.impl(name, "default", _kernel(function))
        namespace, _, short = name.partition("::")
        return getattr(getattr(torch.ops, namespace), short).default

    return register


def _kernel(function):
    """The function, hidden from a compiler that is loaded."""
    hidden = None

    @functools.wraps(function)
    def kernel(*arguments):
        nonlocal hidden
        if hidden is None:
            if "torch._dynamo" not in sys.modules:
                return function(*arguments)
            # Next to a break in a compiled graph it would trace our kernels.
            hidden = torch.compiler.disable(function)
        return hidden(*arguments)

    return kernel


def as_promised(*tensors):
    """Tensors as an operator's fake makes them, which is by ``new_empty``.

    Returns
    -------
    tuple
        Contiguous tensors, the strides of axes of no or one element
        included: ``contiguous`` takes any, but a compiler compares.

    Example
    -------
    >>> (x,) = as_promised(torch.ones(3, 1).t())
    >>> x.stride()
    (3, 1)
    """
    return tuple(
        # Nearly always as they are: comparing costs less than a view.
        x if x.stride() == _strides(x.shape) else x.flatten().view(x.shape)
        for x in tensors
    )


@functools.lru_cache(256)
def _strides(shape):
    """Those of a new tensor, which counts an axis of no element as of one."""
    strides, elements = [], 1
    for size in reversed(shape):
        strides.append(elements)
        elements *= max(size, 1)
    return tuple(reversed(strides))
