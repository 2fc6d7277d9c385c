"""torch.compile(fullgraph=True): one graph for every batch and length.

Two graphs are made in all: dynamo fixes the sizes of the first call and
leaves open what changes in the second.
"""

import shutil

import pytest
import torch
import twins
from torch._dynamo.testing import CompileCounterWithBackend

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast.lobe import CRDNN

# Decompositions and partition of inductor, without compiling C++.
LIKE_INDUCTOR = "aot_eager_decomp_partition"
ONLY_TWO_GRAPHS = pytest.mark.skipif(
    torch.__version__.startswith("2.7."),
    reason="torch 2.7 compiles a CRDNN, with the same results, for more sizes",
)
SIZES = ((4, 12), (5, 14), (6, 11), (6, 11), (3, 40), (20, 13))


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def crdnn(**options):
    options = {
        "input_shape": (4, 12, 6),
        "cnn_channels": [2, 3],
        "rnn_layers": 1,
        "rnn_neurons": 5,
        "dnn_neurons": 4,
        **options,
    }
    return CRDNN(**options)


def step(model, batch, steps, lengths):
    """One training step's output and gradients, dropout seeded."""
    model.zero_grad()
    dtype = next(model.parameters()).dtype
    x = twins.data((batch, steps, 6), dtype, seed=batch)
    given = {"lengths": torch.linspace(0.3, 1, batch)} if lengths else {}
    torch.manual_seed(8)
    output = model(x, **given)
    output = output[0] if isinstance(output, tuple) else output
    output.square().sum().backward()
    return [output, x.grad] + [p.grad.clone() for p in model.parameters()]


def assert_same_step(compiled, model, batch, steps):
    want = step(model, batch, steps, True)
    got = step(compiled, batch, steps, True)
    # What precedes a batch norm can have gradient 0: compare absolutely.
    scale = max(value.abs().max().item() for value in want)
    for value, expected in zip(got, want):
        assert (value - expected).abs().max().item() <= 1e-10 * scale


@pytest.mark.parametrize("model, lengths", [("LiGRU", False), ("SLiGRU", True)])
def test_layer_compiles_once_for_all_sizes(model, lengths):
    ours = getattr(fast, model)(
        5, (4, 12, 6), num_layers=2, bidirectional=True, dropout=0.2
    )
    counter = CompileCounterWithBackend(LIKE_INDUCTOR)
    compiled = torch.compile(ours, backend=counter, fullgraph=True)
    for batch, steps in SIZES:
        step(compiled, batch, steps, lengths)
    assert counter.frame_count == 2


def test_layer_in_inference(backend):
    ours = fast.LiGRU(5, (4, 12, 6), backend=backend).eval()
    counter = CompileCounterWithBackend(LIKE_INDUCTOR)
    compiled = torch.compile(ours, backend=counter, fullgraph=True)
    for batch, steps in SIZES:
        x = torch.randn(batch, steps, 6)
        with torch.no_grad():
            for got, want in zip(compiled(x), ours(x)):
                assert torch.allclose(got, want, atol=1e-6)
    assert counter.frame_count == 2


@ONLY_TWO_GRAPHS
def test_crdnn_with_dropout_compiles_once_for_all_sizes():
    model = crdnn(dropout=0.2, time_pooling=True)
    counter = CompileCounterWithBackend(LIKE_INDUCTOR)
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    for batch, steps in SIZES:
        step(compiled, batch, steps, lengths=True)
    assert counter.frame_count == 2


@ONLY_TWO_GRAPHS
def test_compiled_crdnn_equals_the_eager_one():
    model = crdnn(dropout=0.0, using_2d_pooling=True, rnn_class=fast.SLiGRU)
    model.double()
    counter = CompileCounterWithBackend(LIKE_INDUCTOR)
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    for batch, steps in SIZES:
        assert_same_step(compiled, model, batch, steps)
    assert counter.frame_count == 2


def test_compiled_crdnn_under_autocast():
    model = crdnn(dropout=0.0).eval()
    compiled = torch.compile(model, backend=LIKE_INDUCTOR, fullgraph=True)
    x = torch.randn(4, 12, 6)
    exact = model(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got, want = compiled(x), model(x)
    assert got.dtype == want.dtype
    assert 0 < twins.error(want, exact) and twins.error(got, exact) <= 0.05


@ONLY_TWO_GRAPHS
@pytest.mark.skipif(
    shutil.which("g++") is None, reason="inductor needs a C++ compiler"
)
def test_inductor_compiles_crdnn_for_all_sizes():
    model = crdnn(
        cnn_blocks=1,
        cnn_channels=[2],
        dnn_blocks=0,
        dropout=0.0,
        time_pooling=True,
    )
    model.double()
    compiled = torch.compile(model, fullgraph=True, dynamic=True)
    with (
        torch._inductor.config.patch(cpp_cache_precompile_headers=False),
        torch._dynamo.config.patch(error_on_recompile=True),
    ):
        for batch, steps in SIZES:
            assert_same_step(compiled, model, batch, steps)


def test_a_call_between_graphs_is_not_traced():
    """dynamo sees no kernel of an operator that is called eagerly."""
    graphs = []

    def compiler(graph, inputs):
        graphs.append(graph)
        return graph.forward

    w, u = torch.randn(2, 3, 8), torch.randn(8, 4)
    rest = (None,) * 5 + ("relu", 1, False, 1e-5, "reference", False)

    @torch.compiler.disable(recursive=False)
    def eager(w):
        return torch.ops.speechbrain_ligru_fast.scan(w, u, *rest)[0]

    with torch.no_grad():
        torch.compile(lambda w: eager(w) + 1, backend=compiler)(w)
    assert len(graphs) == 1
