"""Nothing is computed in a backward that nobody asked for.

Products are counted where they are called: in the backend's loop, and U's
gradient, which is no backend's own.
"""

import pytest
import torch
import twins
from captures import compiled, eager
from scan_cases import arguments
from torch.utils.flop_counter import FlopCounterMode

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast import backends
from speechbrain_ligru_fast.scan import operator as ops

SHAPE = (3, 6, 5)


@pytest.fixture
def asked(monkeypatch):
    """What the operator asks its backend for, and computes itself."""
    found = {"du": 0, "dh0": [], "apart": [], "save": []}
    product, run = ops.recurrent_weight_gradient, backends.run

    def counted(*arguments):
        found["du"] += 1
        return product(*arguments)

    def watched(function, *arguments):
        if function == "scan_forward":
            found["save"].append(arguments[-1])
        else:
            found["dh0"].append(arguments[-2])
            found["apart"].append(arguments[-1])
        return run(function, *arguments)

    monkeypatch.setattr(ops, "recurrent_weight_gradient", counted)
    monkeypatch.setattr(backends, "run", watched)
    return found


def gradients(net, function, given):
    net.zero_grad()
    x = twins.data(SHAPE)
    hx = twins.data((2, 3, 4), seed=6) if given else None
    function(x, hx)[0].square().sum().backward()
    found = {n: p.grad for n, p in net.named_parameters()}
    return {"x": x.grad, "hx": hx.grad if given else None, **found}


PARTS = ["u", "w", "norm", "layer_norm"]


@pytest.mark.parametrize("frozen", [[], ["u"], ["w", "norm"], PARTS])
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(
    "capture, recompute", [(eager, False), (eager, True), (compiled, False)]
)
def test_frozen_parts(asked, frozen, given, capture, recompute):
    net = fast.SLiGRU(
        4, SHAPE, recurrent_elementwise_affine=True, bidirectional=True,
        backend="reference", recompute=recompute,
    ).double()  # fmt: skip
    want = gradients(net, net, given)
    for name in frozen:
        getattr(net.rnn[0], name).requires_grad_(False)
    asked.update(du=0, dh0=[], apart=[])
    got = gradients(net, capture(net), given)
    assert (asked["du"], asked["dh0"]) == ("u" not in frozen, [given])
    # LayerNorm's own gradients are of each direction's gates.
    assert asked["apart"] == ["layer_norm" not in frozen]
    for name, value in got.items():
        part = name.split(".")[2] if name.startswith("rnn") else ""
        if part in frozen or want[name] is None:
            assert value is None, name
        else:
            assert torch.allclose(value, want[name], atol=1e-10), name


def test_a_gradient_alone(asked):
    """torch.autograd.grad of one input, of which the rest needs none."""
    given = arguments(layernorm=True, affine=True, backend="reference")
    fast.ligru_scan(**given).sum().backward()
    leaves = {k: v for k, v in given.items() if torch.is_tensor(v)}
    for name, leaf in leaves.items():
        alone = {
            k: v.detach().requires_grad_(k == name) for k, v in leaves.items()
        }
        asked.update(du=0, dh0=[])
        fast.ligru_scan(**given | alone).sum().backward()
        assert torch.allclose(alone[name].grad, leaf.grad, atol=1e-12)
        assert (asked["du"], asked["dh0"]) == (name == "u", [name == "h0"])


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


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("capture", [eager, compiled])
def test_nothing_is_kept_for_a_frozen_layer(asked, model, capture):
    net = getattr(fast, model)(4, SHAPE, backend="reference")
    run = capture(net.requires_grad_(False))
    assert not run(torch.randn(SHAPE))[0].requires_grad
    net.rnn[0].norm.requires_grad_(True)
    # Of any layer torch 2.7 goes on with the graph without gradients.
    torch._dynamo.reset()
    assert run(torch.randn(SHAPE))[0].requires_grad
    assert asked["save"] == [False, True]
