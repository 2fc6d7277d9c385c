"""The projection by another library: equal, and only where nobody looks."""

import pytest
import torch
import twins
from torch.nn.modules import module as modules

from speechbrain_ligru_fast.layers import projection
from speechbrain_ligru_fast.products import gemm


@pytest.fixture(params=["onednn", "onednn-transposed"])
def other(request, monkeypatch):
    """Every product takes another route; says how many did."""
    count = []
    genuine = gemm.ROUTES[request.param]

    def route(a, b):
        count.append(1)
        return genuine(a, b)

    monkeypatch.setitem(gemm.ROUTES, request.param, route)
    monkeypatch.setattr(gemm, "WORTH", 0)
    everywhere = dict.fromkeys(("00", "01", "10", "11"), request.param)
    monkeypatch.setattr(gemm, "routes", lambda: everywhere)
    return count


def linear(**options):
    """A projection, its input, and what torch makes of them."""
    torch.manual_seed(0)
    module = torch.nn.Linear(7, 12, **{"bias": False, **options})
    return module, torch.randn(3, 5, 7, requires_grad=True)


def test_values_and_derivatives_are_torch_s(other):
    """The second derivative, too."""
    found = []
    for call in (projection.project, lambda module, x, gates: module(x)):
        module, x = linear()
        y = call(module, x, 12)
        leaves = (x, module.weight)
        first = torch.autograd.grad(y.square().sum(), leaves, create_graph=True)
        size = sum(gradient.square().sum() for gradient in first)
        second = torch.autograd.grad(size, x, retain_graph=True)
        y.sin().sum().backward()
        found.append([y, *first, *second, x.grad, module.weight.grad])
        assert module.weight.grad.is_contiguous()
    # Forward, and two in each backward that is not differentiated again.
    assert len(other) == 5
    for got, want in zip(*found):
        twins.assert_close(got, want)


def test_only_the_gradients_that_are_needed(other):
    for trained in ("x", "weight"):
        other.clear()
        module, x = linear()
        x.requires_grad_(trained == "x")
        module.weight.requires_grad_(trained == "weight")
        projection.project(module, x, 12).sum().backward()
        assert len(other) == 2
    with torch.inference_mode():
        assert projection.project(module, x.detach(), 12).shape == (3, 5, 12)


HOOKS = (
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(m, "bias", torch.nn.Parameter(torch.ones(12))),
        lambda m: setattr(m, "forward", lambda x: torch.ones(1)),
        lambda m: m.double(),
        *(lambda m, add=add: getattr(m, add)(lambda *_: None) for add in HOOKS),
    ],
)
def test_a_module_that_does_more_is_called(other, change):
    module, x = linear()
    change(module)
    x = x.to(module.weight.dtype)
    assert torch.equal(projection.project(module, x, 12), module(x))
    assert not other


def test_hooks_of_all_modules_are_called(other):
    module, x = linear()
    seen = []
    with modules.register_module_forward_hook(lambda *_: seen.append(1)):
        projection.project(module, x, 12)
    assert seen == [1] and not other


def test_what_is_traced_or_transformed_is_torch_s(other):
    module, x = linear()
    module.requires_grad_(False)
    x.requires_grad_(False)

    def call(x):
        return projection.project(module, x, 12)

    traced = torch.jit.trace(call, x, check_trace=False)
    got = (
        traced(x),
        torch.func.vmap(call)(x.unsqueeze(0))[0],
        torch.func.jvp(call, (x,), (x,))[0],
        torch.compile(call, backend="eager", fullgraph=True)(x),
    )
    assert not other
    for value in got:
        twins.assert_close(value, module(x))


@pytest.mark.parametrize("recompute", [False, True])
def test_a_layer_s_products(other, recompute):
    """W's three, U's gradient, and the gates' if they are computed again."""
    shape = (3, 6, 5)
    ours, theirs = twins.build(
        "LiGRU", shape, "torchscript", bidirectional=True
    )
    for layer in ours.rnn:
        layer.recompute = recompute
    x = twins.data(shape)
    want = twins.run(theirs, x)
    got = twins.run(ours.float(), x.detach().float().requires_grad_())
    assert len(other) == 4 + recompute
    for name in want.keys() - {"hidden"}:
        assert twins.error(got[name], want[name]) < 1e-4, name
