"""torch.func, forward mode and captured graphs give stock's derivatives."""

import functools

import pytest
import torch
import twins
from captures import compiled, exported, traced
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vmap

import speechbrain_ligru_fast as fast

SHAPE = (3, 4, 2)


def pair(model="SLiGRU", backend="reference"):
    options = dict(nonlinearity="tanh", bidirectional=True, hidden_size=3)
    nets = twins.build(model, SHAPE, backend, **options)
    return [net.eval() for net in nets]


def jacobian_forward(function, x):
    return torch.autograd.functional.jacobian(
        function, x, strategy="forward-mode", vectorize=True
    )


def tangent(function, x):
    with forward_ad.dual_level():
        output = function(forward_ad.make_dual(x, torch.ones_like(x)))
        return forward_ad.unpack_dual(output).tangent


@pytest.mark.parametrize(
    "transform",
    [
        lambda f, x: jvp(f, (x,), (torch.ones_like(x),))[1],
        lambda f, x: grad(lambda x: f(x).square().sum())(x),
        lambda f, x: hessian(lambda x: f(x).sum())(x[:, :2]),
        lambda f, x: jacfwd(f)(x),
        lambda f, x: jacrev(f)(x),
        jacobian_forward,
        tangent,
    ],
    ids="jvp grad hessian jacfwd jacrev forward-mode dual".split(),
)
@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("frozen", [False, True])
def test_derivatives_are_stocks(model, transform, frozen):
    x = twins.data(SHAPE).detach()
    found = []
    for net in pair(model):
        net.requires_grad_(not frozen)
        found.append(transform(lambda x, net=net: net(x)[0], x))
    assert found[1].any()
    assert twins.error(*found) <= 1e-8


def test_gradients_of_each_utterance(backend):
    def gradients(net):
        def loss(parameters, x):
            return functional_call(net, parameters, (x[None],))[0].sum()

        parameters = {k: v.detach() for k, v in net.named_parameters()}
        x = twins.data(SHAPE).detach()
        return vmap(grad(loss), (None, 0))(parameters, x)

    ours, theirs = map(gradients, pair("LiGRU", backend))
    for name, want in theirs.items():
        assert twins.error(ours[name], want) <= 1e-8, name


def test_with_lengths_and_under_autocast():
    ours, _ = pair()
    lengths = torch.tensor([1.0, 0.5, 0.75])

    def loss(x):
        return ours(x, lengths=lengths)[0].square().sum()

    x = twins.data(SHAPE)
    (want,) = torch.autograd.grad(loss(x), x)
    assert twins.error(grad(loss)(x.detach()), want) <= 1e-8
    ours.float()
    x = x.detach().float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        (want,) = torch.autograd.grad(loss(x), x)
        got = grad(loss)(x.detach())
    assert got.dtype == want.dtype == torch.float32
    assert twins.error(got, want) <= 0.02


def test_compiled():
    """Without the layer: torch compiles no batch norm under jvp."""
    w, u = twins.data(SHAPE).detach(), twins.data((2, 1), seed=2).detach()
    run = functools.partial(fast.ligru_scan, u=u, backend="reference")

    def derivative(w):
        return jvp(run, (w,), (torch.ones_like(w),))[1]

    want = derivative(w)
    got = compiled(derivative, backend="eager")(w)
    assert want.any() and torch.allclose(got, want)


def test_an_ordinary_backward_stays_the_operators(backend, monkeypatch):
    """Also under vmap alone, which needs no derivative."""

    def fail(*arguments):
        raise AssertionError

    monkeypatch.setattr("speechbrain_ligru_fast.scan.unrolled.scan", fail)
    ours, _ = pair(backend=backend)
    x = twins.data(SHAPE)
    want = ours(x)[0]
    want.sum().backward()
    with torch.no_grad():
        got = vmap(lambda x: ours(x[None])[0][0])(x.detach())
    assert twins.error(got, want) <= 1e-10


@pytest.mark.parametrize("capture", [exported, traced])
@pytest.mark.filterwarnings("ignore")
def test_a_graph_captured_without_gradients_says_so(capture):
    net = fast.LiGRU(5, SHAPE).eval()
    x = torch.randn(SHAPE)
    with torch.no_grad():
        blind = capture(net, x)
    output = blind(x)[0]
    assert torch.allclose(output, net(x)[0])
    with pytest.raises(RuntimeError, match="captured without gradients"):
        output.sum().backward()
    capture(net, x)(x)[0].sum().backward()
    assert net.rnn[0].u.weight.grad is not None
