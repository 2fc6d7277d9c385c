"""What torch.utils.flop_counter counts of the operators.

As for torch's own: products alone, two operations for a multiplication and an
addition. Padding counts, since a count knows shapes only.
"""

import importlib.util
import sys

_COUNTER = "torch.utils.flop_counter"


def forward_flops(w, u, *options, **more):
    """Of ``scan``, whose arguments are shapes here: one product a step."""
    return _products(w[1], w[0] * options[_DIRECTIONS], u)


# Behind w and u.
_DIRECTIONS = 6


def backward_flops(
    grad, output, gates, normed, rstd, u, h0, mask, lengths, ln_weight, needs,
    nonlinearity, directions, layernorm, eps, backend, w=None, *rest, **more,
):  # fmt: skip
    """Of ``scan_backward``: what is needed, and what is computed again."""
    steps = grad[1]
    _, needs_u, needs_h0, _, _ = needs
    # Before the first step there is h0's gradient alone.
    products = steps if needs_h0 else max(steps - 1, 0)
    products += steps * (int(needs_u) + int(w is not None))
    return _products(products, grad[0] * directions, u)


def _products(count, rows, u):
    return 2 * count * rows * u[0] * u[1]


def register(forward, backward):
    """Has the counter count two operators, once somebody imports it.

    Not before: it imports Triton.

    Arguments
    ---------
    forward, backward : torch._ops.OpOverload
        The operators ``scan`` and ``scan_backward``.
    """

    def now():
        counter = sys.modules[_COUNTER]
        counter.register_flop_formula(forward.overloadpacket)(forward_flops)
        counter.register_flop_formula(backward.overloadpacket)(backward_flops)

    if _COUNTER in sys.modules:
        now()
    else:
        sys.meta_path.insert(0, _AfterImport(_COUNTER, now))


class _AfterImport:
    """A finder of one module, which calls a function when it is imported."""

    def __init__(self, name, function):
        self.name, self.function = name, function

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_call(module):
            execute(module)
            self.function()

        spec.loader.exec_module = execute_and_call
        return spec
