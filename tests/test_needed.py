"""Nothing is computed in a backward that nobody asked for.

Products are counted where they are called: in the backend's loop, and U's
gradient, which is no backend's own.
"""

import pytest
import torch
import twins
from torch.utils.flop_counter import FlopCounterMode

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.scan import operator as ops

SHAPE = (3, 6, 5)


@pytest.fixture
def asked(monkeypatch):
    """What the operator asks its backend for, and computes itself."""
    found = {"du": 0, "dh0": [], "save": []}
    product, run = ops.recurrent_weight_gradient, backends.run

    def counted(*arguments):
        found["du"] += 1
        return product(*arguments)

    def watched(function, *arguments):
        of = {"scan_backward": "dh0", "scan_forward": "save"}[function]
        found[of].append(arguments[-1])
        return run(function, *arguments)

    monkeypatch.setattr(ops, "recurrent_weight_gradient", counted)
    monkeypatch.setattr(backends, "run", watched)
    return found


def gradients(net, x, hx, function=None):
    net.zero_grad()
    output = (net if function is None else function)(x, hx)[0]
    output.square().sum().backward()
    found = {n: p.grad for n, p in net.named_parameters()}
    return {"x": x.grad, "hx": None if hx is None else hx.grad, **found}


FROZEN = {
    "u": lambda layer: layer.u,
    "w": lambda layer: layer.w,
    "norm": lambda layer: layer.norm,
    "layer_norm": lambda layer: layer.layer_norm,
}


@pytest.mark.parametrize("frozen", [[], ["u"], ["w", "norm"], [*FROZEN]])
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("recompute", [False, True])
def test_frozen_parts(asked, frozen, given, captured, recompute):
    net = fast.SLiGRU(
        4, SHAPE, recurrent_elementwise_affine=True, bidirectional=True,
        backend="reference", recompute=recompute,
    ).double()  # fmt: skip

    def inputs():
        hx = twins.data((2, 3, 4), seed=6) if given else None
        return twins.data(SHAPE), hx

    want = gradients(net, *inputs())
    for name in frozen:
        FROZEN[name](net.rnn[0]).requires_grad_(False)
    asked.update(du=0, dh0=[])
    run = net
    if captured:
        torch._dynamo.reset()
        run = torch.compile(net, backend="aot_eager", fullgraph=True)
    got = gradients(net, *inputs(), run)
    assert asked["du"] == ("u" not in frozen)
    assert asked["dh0"] == [given]
    for name, value in got.items():
        part = name.split(".")[2] if name.startswith("rnn") else ""
        if part in frozen:
            assert value is None, name
        else:
            assert (value is None) == (want[name] is None), name
            if value is not None:
                assert torch.allclose(value, want[name], atol=1e-10), name


def test_a_gradient_alone(asked):
    """torch.autograd.grad of one input, of which the rest needs none."""
    given = {
        "w": twins.data((3, 6, 8)),
        "u": twins.data((8, 4), seed=2),
        "h0": twins.data((3, 4), seed=3),
        "ln_weight": twins.data((8,), seed=4),
        "ln_bias": twins.data((8,), seed=5),
    }
    fast.ligru_scan(**given, layernorm=True).sum().backward()
    for name, leaf in given.items():
        alone = {
            k: v.detach().requires_grad_(k == name) for k, v in given.items()
        }
        asked.update(du=0, dh0=[])
        fast.ligru_scan(**alone, layernorm=True).sum().backward()
        assert torch.allclose(alone[name].grad, leaf.grad, atol=1e-12)
        assert asked["du"] == (name == "u")
        assert asked["dh0"] == [name == "h0"]


@pytest.mark.parametrize("name", ["reference", "torchscript"])
@pytest.mark.parametrize("lengths", [None, torch.tensor([6, 1, 4])])
def test_the_first_step_has_a_product_for_h0_alone(name, lengths):
    """What the loop multiplies, seen from within the operator."""
    w, u = torch.randn(3, 6, 8), torch.randn(8, 4)
    spec = ops.ScanSpec(directions=2)
    module = backends.choose(name, "cpu", torch.float32, spec)
    output, *saved = module.scan_forward(
        spec, w, u, None, None, lengths, None, None, True
    )
    previous = ops.previous_hidden(output, None, 2, lengths)
    product = 2 * 6 * 8 * 4
    for needs_dh0 in (False, True):
        with FlopCounterMode(display=False) as count:
            module.scan_backward(
                spec, torch.ones_like(output), previous, *saved, u, None,
                lengths, None, needs_dh0,
            )  # fmt: skip
        assert count.get_total_flops() == product * (5 + needs_dh0)


def test_gradients_without_dh0_are_the_same(backend):
    w, u = twins.data((3, 6, 8)).detach(), twins.data((8, 4)).detach()
    lengths = torch.tensor([6, 1, 4])
    spec = ops.ScanSpec(directions=2, layernorm=True)
    module = backends.choose(backend, "cpu", torch.float64, spec)
    output, *saved = module.scan_forward(
        spec, w, u, None, None, lengths, None, None, True
    )
    previous = ops.previous_hidden(output, None, 2, lengths)
    with_dh0, without = (
        module.scan_backward(
            spec, torch.ones_like(output), previous, *saved, u, None, lengths,
            None, needs,
        )
        for needs in (True, False)
    )  # fmt: skip
    for got, want in zip(without[:2], with_dh0):
        assert torch.equal(got, want)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("captured", [False, True])
def test_nothing_is_kept_for_a_frozen_layer(asked, model, captured):
    net = getattr(fast, model)(4, SHAPE, backend="reference")
    run = net.requires_grad_(False)
    if captured:
        torch._dynamo.reset()
        run = torch.compile(net, backend="aot_eager", fullgraph=True)
    assert not run(torch.randn(SHAPE))[0].requires_grad
    net.rnn[0].norm.requires_grad_(True)
    # Of any layer torch 2.7 goes on with the graph without gradients.
    torch._dynamo.reset()
    assert run(torch.randn(SHAPE))[0].requires_grad
    assert asked["save"] == [False, True]
