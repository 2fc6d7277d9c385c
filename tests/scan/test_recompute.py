"""Gates that the backward computes again are those the forward would keep.

tests/scan/test_operator.py compares both in every option.
"""

import pytest
import torch
import twins
from functorch.compile import aot_function, min_cut_rematerialization_partition
from scan_cases import arguments, run
from torch.fx.experimental.proxy_tensor import make_fx

from speechbrain_ligru_fast import ligru_scan
from speechbrain_ligru_fast.scan import recompute

pytestmark = pytest.mark.usefixtures("poisoned_memory")
HALF = [torch.bfloat16, torch.float16]


def both(backend, operand, **options):
    """What a kept and a recomputed gate give, with U in another type."""
    given = arguments(steps=40, hidden=20, **options)
    given["u"] = (given["u"].detach() / 4).to(operand).requires_grad_()
    for again in (False, True):
        yield run(ligru_scan, given, backend=backend, recompute=again)


@pytest.mark.parametrize("layernorm", [False, True])
@pytest.mark.parametrize("dtype", HALF)
def test_half_precision(backend, dtype, layernorm):
    """Operands are rounded as in the forward, and nothing else is."""
    want, got = both(backend, dtype, dtype=torch.float32, layernorm=layernorm)
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
    options = dict(dtype=torch.bfloat16, nonlinearity="tanh")
    want, got = both(backend, operand, **options)
    eps = torch.finfo(torch.bfloat16).eps
    for name, value in want.items():
        assert twins.error(got[name], value) <= 8 * eps, name


@pytest.mark.parametrize("again", [False, True])
def test_a_backward_under_autocast(backend, again):
    """It computes what it computes outside: nothing is rounded twice."""
    w = twins.data((3, 9, 12), torch.float32)
    u = twins.data((12, 6), torch.float32, seed=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = ligru_scan(w, u, backend=backend, recompute=again)
        weight = twins.data(output.shape, output.dtype, seed=9).detach()
        inside = torch.autograd.grad(output, (w, u), weight, retain_graph=True)
    outside = torch.autograd.grad(output, (w, u), weight)
    assert all(map(torch.equal, inside, outside))


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("layernorm", [False, True])
def test_what_is_kept(backend, directions, layernorm):
    """Counted: gates and SLiGRU's projection go, w comes."""
    batch, steps, hidden = 3, 40, 16
    given = arguments(
        batch, steps, hidden, torch.float32, h0=False,
        directions=directions, layernorm=layernorm, backend=backend,
    )  # fmt: skip
    kept = []

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[-1][storage.data_ptr()] = storage.nbytes()
        return tensor

    for again in (False, True):
        kept.append({})
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            ligru_scan(**given, recompute=again)
    saved, recomputed = (sum(sizes.values()) for sizes in kept)
    gates = gone = 4 * directions * batch * steps * 2 * hidden
    if layernorm:
        gone += gates + 4 * directions * batch * steps
    assert saved - recomputed == gone - 4 * given["w"].numel()


def test_a_compiled_forward_does_not_compute_them():
    """The partitioner keeps w: no gates go from forward to backward."""

    def note(graph, inputs):
        results.append(graph(*inputs))
        return graph

    w = twins.data((3, 40, 32), torch.float32)
    u = twins.data((32, 16), torch.float32, seed=2)
    for again in (False, True):
        results = []
        aot_function(
            lambda w, u, again=again: ligru_scan(
                w.sin(), u, directions=2, recompute=again
            ),
            fw_compiler=note,
            bw_compiler=lambda graph, inputs: graph,
            partition_fn=min_cut_rematerialization_partition,
        )(w, u)
        (forward,) = results
        sizes = [x.numel() for x in forward if torch.is_tensor(x)]
        assert (2 * w.numel() in sizes) == (not again)


@pytest.mark.parametrize("dtype", HALF)
def test_the_gpus_product(dtype):
    """On a GPU half operands are multiplied as they are, summed in float32."""
    with torch._subclasses.FakeTensorMode():
        h = torch.empty(6, 3, device="cuda")
        u = torch.empty(8, 3, device="cuda", dtype=dtype)
        graph = make_fx(recompute._project)(h, u, torch.float32, True)
        product = recompute._project(h, u, torch.float32, True)
    assert product.dtype == torch.float32
    (node,) = [n for n in graph.graph.nodes if "mm" in str(n.target)]
    # New in torch 2.8; before it the operands are widened first.
    packet = torch.ops.aten.mm
    assert node.target is getattr(packet, "dtype", packet.default)
