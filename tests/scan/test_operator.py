"""The operator: every backend against an oracle that autograd unrolls."""

import weakref

import pytest
import scan_cases
import torch
import twins
from hypothesis import given as drawn_from
from scan_cases import OPTIONS, arguments, operands, oracle, run

from speechbrain_ligru_fast import ligru_scan
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES
from speechbrain_ligru_fast.scan import operator as ops

pytestmark = pytest.mark.usefixtures("poisoned_memory")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_the_oracle(backend, options):
    """Also where the backward computes the gates again; inputs stay."""
    for nonlinearity in NONLINEARITIES:
        given = arguments(nonlinearity=nonlinearity, **options)
        before = {k: v.clone() for k, v in given.items() if torch.is_tensor(v)}
        want = run(oracle, given)
        got = run(ligru_scan, given, backend=backend)
        again = run(ligru_scan, given, backend=backend, recompute=True)
        twins.assert_equal(got, want)
        twins.assert_equal(again, want)
        assert torch.equal(got["output"], again["output"])
        assert all(torch.equal(given[k], v) for k, v in before.items())


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("layernorm", [False, True])
def test_an_utterance_of_no_frames(backend, directions, layernorm):
    given = arguments(directions=directions, layernorm=layernorm)
    given["lengths"] = torch.tensor([0, 4, 2])
    got = run(ligru_scan, given, backend=backend)
    twins.assert_equal(got, run(oracle, given))
    assert not got["output"][0].any() and not got["grad w"][0].any()


@pytest.mark.parametrize("options", OPTIONS[::-2], ids=str)
def test_gradcheck(backend, options):
    # Seeds keep the candidates of relu away from its kink.
    nonlinearity = "tanh" if options["directions"] == 1 else "relu"
    given = arguments(
        batch=2, steps=3, hidden=2, nonlinearity=nonlinearity, **options
    )
    names = [name for name in scan_cases.INPUTS if name in given]
    for recompute in (False, True):

        def function(*leaves, **more):
            return ligru_scan(**given | dict(zip(names, leaves)), **more)

        assert torch.autograd.gradcheck(
            lambda *x, again=recompute, call=function: call(
                *x, backend=backend, recompute=again
            ),
            [given[name] for name in names],
        )


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("options", [OPTIONS[i] for i in (1, 5, 17)], ids=str)
def test_opcheck(backend, options, recompute):
    args = operands(arguments(dtype=torch.float32, **options), backend)
    torch.library.opcheck(ops.scan, (*args, True, recompute))
    args = [x.detach() if torch.is_tensor(x) else x for x in args]
    torch.library.opcheck(ops.scan, (*args, False, False))
    found = ops.scan(*args, True, recompute)
    assert not recompute or not any(x.numel() for x in found[1:])
    backward = scan_cases.backward_operands(args, found, recompute)
    torch.library.opcheck(ops.scan_backward, tuple(backward))


def test_double_backward_raises(backend):
    given = arguments()
    loss = ligru_scan(**given, backend=backend).square().sum()
    (grad,) = torch.autograd.grad(loss, given["w"], create_graph=True)
    with pytest.raises(RuntimeError, match="ligru_scan.*second time.*restore"):
        grad.sum().backward()


def test_keeps_only_for_a_backward(backend):
    """TorchScript may save more while it runs, after many sizes."""
    given = arguments(layernorm=True)
    kept = weakref.WeakSet()

    class Kept:
        def __init__(self, tensor):
            # An output that held itself would stay for ever.
            self.tensor = tensor.detach()
            kept.add(self)

    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda x: x.tensor):
        output = ligru_scan(**given, backend=backend)
        assert sum(x.tensor.numel() for x in kept) > given["w"].numel()
        kept.clear()
        with torch.no_grad():
            output = ligru_scan(**given, backend=backend)
        assert not kept and not output.requires_grad


def test_any_strides(backend):
    given = arguments(directions=2)
    want = run(ligru_scan, given, backend=backend)
    w = given["w"].detach().permute(2, 0, 1).contiguous().permute(1, 2, 0)
    u = torch.cat([given["u"].detach()] * 2, 1)[:, :3]
    h0 = given["h0"].detach().t().contiguous().t()
    strided = {**given, "w": w, "u": u, "h0": h0}
    for tensor in (w, u, h0):
        assert not tensor.requires_grad_().is_contiguous()
    twins.assert_equal(run(ligru_scan, strided, backend=backend), want)
    # A gradient that is expanded from one number has stride 0.
    for case in (given, strided):
        ligru_scan(**case, backend=backend).sum().backward()
    assert torch.allclose(given["w"].grad, w.grad)


def test_a_mask_gets_no_gradient(backend):
    # `auto` computes a single step in plain torch.
    for name, steps in ((backend, 4), ("auto", 1)):
        given = arguments(steps=steps, mask=True)
        mask = given["mask"].requires_grad_()
        ligru_scan(**given, backend=name).sum().backward()
        assert mask.grad is None and given["w"].grad.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_state_is_float32_below(backend, dtype):
    """Operands are rounded, the state is not: T roundings do not add up."""
    given = arguments(steps=40, dtype=dtype)
    exact = {k: v.detach().double().requires_grad_() for k, v in given.items()}
    want = run(oracle, exact)
    got = run(ligru_scan, given, backend=backend)
    for name, value in want.items():
        # One rounding of the output and one of each operand of the product.
        limit = 4 if name == "output" else 8
        assert got[name].dtype == dtype
        error = twins.error(got[name], value)
        assert error <= limit * torch.finfo(dtype).eps, name


def test_float64_stays_float64_under_autocast(backend):
    w, u = twins.data((2, 5, 8)), twins.data((8, 4), seed=2)
    want = ligru_scan(w, u, backend=backend)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = ligru_scan(w, u, backend=backend)
    assert got.dtype == torch.float64 and torch.equal(got, want)


@scan_cases.SIXTY
@drawn_from(scan_cases.scans())
def test_backends_agree_with_the_reference(options):
    given = arguments(**options)
    want = run(ligru_scan, given, backend="reference")
    for backend in twins.available():
        twins.assert_equal(run(ligru_scan, given, backend=backend), want)


def test_the_backward_makes_no_gradients_of_what_has_none():
    """Autograd would make zeros as large as all that a SLiGRU keeps."""
    w = torch.randn(4, 50, 64, requires_grad=True)
    output = ligru_scan(
        w, torch.randn(64, 32), layernorm=True, backend="reference"
    )
    grad = torch.ones_like(output)
    with torch.profiler.profile(profile_memory=True) as profiler:
        torch.autograd.grad(output, w, grad)
    made = [
        event.cpu_memory_usage
        for event in profiler.events()
        if event.name == "aten::zeros"
    ]
    assert max(made, default=0) < w.numel() * w.element_size()
