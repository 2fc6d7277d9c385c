"""Gates that the backward computes again equal those the forward keeps."""

import itertools
import pickle

import pytest
import torch
import twins
from test_scan import OPTIONS, arguments, oracle, run
from torch.autograd import gradcheck
from torch.fx.experimental.proxy_tensor import make_fx

import speechbrain_ligru_fast as fast
from benchmarks.cases import QUICK_PARITY_CASES
from benchmarks.verify import check_options
from speechbrain_ligru_fast import ligru_scan, ops, recompute
from speechbrain_ligru_fast.backends.spec import NONLINEARITIES

pytestmark = pytest.mark.usefixtures("poisoned_memory")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_keeping_them(backend, options):
    for nonlinearity in NONLINEARITIES:
        given = arguments(nonlinearity=nonlinearity, **options)
        want = run(ligru_scan, given, backend=backend)
        got = run(ligru_scan, given, backend=backend, recompute=True)
        assert torch.equal(got["output"], want["output"])
        twins.assert_equal(got, want)
        twins.assert_equal(got, run(oracle, given))


@pytest.mark.parametrize("options", OPTIONS[::-2], ids=str)
def test_gradcheck(options):
    # Seeds keep the candidates of relu away from its kink.
    nonlinearity = "tanh" if options["directions"] == 1 else "relu"
    given = arguments(
        batch=2, steps=3, hidden=2, nonlinearity=nonlinearity, **options
    )
    leaves = {
        name: value
        for name, value in given.items()
        if torch.is_tensor(value) and value.requires_grad
    }

    def function(*values):
        changed = {**given, **dict(zip(leaves, values))}
        return ligru_scan(**changed, recompute=True)

    assert gradcheck(function, list(leaves.values()))


def test_layers_equal_stocks(backend):
    """The benchmark's cases and limits, every option of a layer."""
    implementation = f"{backend}-recompute"
    found = check_options([implementation], QUICK_PARITY_CASES)
    assert {comparison.impl for comparison in found} == {implementation}
    assert not [str(comparison) for comparison in found if not comparison.ok]


@pytest.mark.parametrize("layernorm", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(backend, dtype, layernorm):
    """Operands are rounded as in the forward, and nothing else is."""
    given = arguments(
        steps=40, dtype=torch.float32, layernorm=layernorm, hidden=20
    )
    given["u"] = (given["u"].detach() / 4).to(dtype).requires_grad_()
    want = run(ligru_scan, given, backend=backend)
    got = run(ligru_scan, given, backend=backend, recompute=True)
    for name, value in want.items():
        assert got[name].dtype == value.dtype
        # U's gradient is of U's type; a state that lies between two
        # roundings may take the other one in the reference.
        eps = torch.finfo(value.dtype).eps
        limit = eps if value.dtype == dtype else 100 * eps
        assert twins.error(got[name], value) <= limit, name


@pytest.mark.parametrize("operand", [torch.bfloat16, torch.float32])
def test_states_that_are_stored_in_half_precision(backend, operand):
    """A gate's operand is rounded once more, where U is in float32."""
    given = arguments(
        steps=40, dtype=torch.bfloat16, hidden=20, nonlinearity="tanh"
    )
    given["u"] = (given["u"].detach() / 4).to(operand).requires_grad_()
    want = run(ligru_scan, given, backend=backend)
    got = run(ligru_scan, given, backend=backend, recompute=True)
    eps = torch.finfo(torch.bfloat16).eps
    for name, value in want.items():
        assert twins.error(got[name], value) <= 8 * eps, name


@pytest.mark.parametrize("again", [False, True])
def test_a_backward_under_autocast(backend, again):
    """It computes what it computes outside: nothing is rounded twice."""
    w, u = twins.data((3, 9, 12), torch.float32), twins.data((12, 6), seed=2)
    u = u.detach().float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = ligru_scan(w, u, backend=backend, recompute=again)
        weight = twins.data(output.shape, output.dtype, seed=9).detach()
        inside = torch.autograd.grad(output, (w, u), weight, retain_graph=True)
    outside = torch.autograd.grad(output, (w, u), weight)
    assert all(map(torch.equal, inside, outside))


@pytest.mark.parametrize(
    "options", [OPTIONS[1], OPTIONS[5], OPTIONS[17]], ids=str
)
def test_opcheck(backend, options):
    given = arguments(dtype=torch.float32, **options)
    names = ("w", "u", "h0", "mask", "lengths", "ln_weight", "ln_bias")
    w, *operands = (given.get(name) for name in names)
    spec = "relu", given["directions"], given.get("layernorm", False), 1e-5
    torch.library.opcheck(ops.scan, (w, *operands, *spec, backend, True, True))
    w = w.detach()
    *operands, ln_bias = [
        None if value is None else value.detach() for value in operands
    ]
    output, *saved = ops.scan(w, *operands, ln_bias, *spec, backend, True, True)
    assert [value.numel() for value in saved] == [0, 0, 0]
    needs = [True] * 3 + [ln_bias is not None] * 2
    torch.library.opcheck(
        ops.scan_backward,
        (torch.ones_like(output), output, *saved, *operands)
        + (needs, *spec, backend, w, ln_bias),
    )


def kept(function):
    """Bytes of the distinct tensors that a graph keeps for its backward."""
    found = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        function()
    return sum(found.values())


@pytest.mark.parametrize(
    "directions, layernorm", itertools.product((1, 2), (False, True))
)
def test_what_is_kept(backend, directions, layernorm):
    """Counted: gates and SLiGRU's projection go, w comes."""
    batch, steps, hidden = 3, 40, 16
    w = twins.data((batch, steps, 2 * hidden), torch.float32)
    u = twins.data((2 * hidden, hidden), torch.float32, seed=2)

    def scan(again):
        return ligru_scan(
            w,
            u,
            directions=directions,
            layernorm=layernorm,
            backend=backend,
            recompute=again,
        )

    gates = 4 * directions * batch * steps * 2 * hidden
    gone = gates
    if layernorm:
        gone += gates + 4 * directions * batch * steps
    saved = kept(lambda: scan(False)) - kept(lambda: scan(True))
    assert saved == gone - 4 * w.numel()


@pytest.mark.parametrize("model", twins.MODELS)
def test_scripted_compiled_exported_pickled_layers(model):
    shape = (3, 7, 5)
    keeping, _ = twins.build(model, shape, bidirectional=True)
    again = getattr(fast, model)(
        7, shape, bidirectional=True, backend="reference", recompute=True
    ).double()
    again.load_state_dict(keeping.state_dict(), strict=True)
    assert again.state_dict().keys() == keeping.state_dict().keys()
    state = {k: v.clone() for k, v in again.state_dict().items()}
    x = twins.data(shape)
    want = twins.run(keeping, x)
    for transform in (
        lambda layer: layer,
        torch.jit.script,
        lambda layer: pickle.loads(pickle.dumps(layer)),
        lambda layer: torch.compile(
            layer, backend="aot_eager_decomp_partition", fullgraph=True
        ),
    ):
        again.load_state_dict(state)
        torch._dynamo.reset()
        layer = transform(again)
        found = twins.run(layer, x)
        found = {k.removeprefix("_orig_mod."): v for k, v in found.items()}
        found = {
            k.replace("grad _orig_mod.", "grad "): v for k, v in found.items()
        }
        twins.assert_equal(found, want)
    torch._dynamo.reset()
    program = torch.export.export(again.eval(), (x.detach(),)).module()
    assert torch.equal(program(x.detach())[0], again(x)[0])


def test_a_compiled_forward_does_not_compute_them():
    """The partitioner keeps w: no gates go from forward to backward."""
    from functorch.compile import (
        aot_function,
        min_cut_rematerialization_partition,
    )

    results = []

    def note(graph, inputs):
        results.append(graph(*inputs))
        return graph

    w, u = twins.data((3, 40, 32), torch.float32), twins.data((32, 16), seed=2)
    u = u.detach().float().requires_grad_()
    for again in (False, True):
        results.clear()
        function = aot_function(
            lambda w, u, again=again: ligru_scan(
                w.sin(), u, directions=2, recompute=again
            ),
            fw_compiler=note,
            bw_compiler=lambda graph, inputs: graph,
            partition_fn=min_cut_rematerialization_partition,
        )
        function(w, u)
        (forward,) = results
        sizes = [x.numel() for x in forward if torch.is_tensor(x)]
        assert (2 * w.numel() in sizes) == (not again)


def test_accelerate_passes_it_on():
    _, stock = twins.build("SLiGRU", (3, 5, 4), num_layers=2)
    layer = fast.accelerate(stock, recompute=True)
    assert [inner.recompute for inner in layer.rnn] == [True, True]
    assert not fast.accelerate(fast.restore(layer)).rnn[0].recompute


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_gpus_product(dtype):
    """On a GPU half operands are multiplied as they are, summed in float32."""
    fake = torch._subclasses.FakeTensorMode()
    with fake:
        h = torch.empty(6, 3, device="cuda")
        u = torch.empty(8, 3, device="cuda", dtype=dtype)
    with fake:
        graph = make_fx(recompute._project)(h, u, torch.float32, True)
        assert (
            recompute._project(h, u, torch.float32, True).dtype == torch.float32
        )
    (product,) = [
        node for node in graph.graph.nodes if "mm" in str(node.target)
    ]
    # New in torch 2.8; before it the operands are widened first.
    packet = torch.ops.aten.mm
    assert product.target is getattr(packet, "dtype", packet.default)
