"""A CRDNN that is scripted, exported, or compiled once for all sizes.

Two graphs are made in all: dynamo fixes the sizes of the first call and
leaves open what changes in the second.
"""

import functools
import shutil

import pytest
import torch
import twins
from captures import LIKE_INDUCTOR, SIZES, like_inductor, open_export
from torch._dynamo.testing import CompileCounterWithBackend

from speechbrain_ligru_fast import SLiGRU

pytestmark = pytest.mark.usefixtures("fresh_compiler")

ONLY_TWO_GRAPHS = pytest.mark.skipif(
    torch.__version__.startswith("2.7."),
    reason="torch 2.7 compiles a CRDNN, with the same results, for more sizes",
)


crdnn = functools.partial(twins.crdnn, rnn_layers=1)


def step(model, batch, steps):
    """One training step's output and gradients, dropout seeded."""
    model.zero_grad()
    dtype = next(model.parameters()).dtype
    x = twins.data((batch, steps, 6), dtype, seed=batch)
    torch.manual_seed(8)
    output = model(x, torch.linspace(0.3, 1, batch))
    output.square().sum().backward()
    return [output, x.grad] + [p.grad.clone() for p in model.parameters()]


def assert_same_step(compiled, model, batch, steps):
    want = step(model, batch, steps)
    got = step(compiled, batch, steps)
    # What precedes a batch norm can have gradient 0: compare absolutely.
    scale = max(value.abs().max().item() for value in want)
    for value, expected in zip(got, want):
        assert (value - expected).abs().max().item() <= 1e-10 * scale


@ONLY_TWO_GRAPHS
@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.2, "time_pooling": True},
        {"using_2d_pooling": True, "rnn_class": SLiGRU},
    ],
    ids=["dropout", "2d"],
)
def test_compiles_once_for_all_sizes(options):
    model = crdnn(**options).double()
    counter = CompileCounterWithBackend(LIKE_INDUCTOR)
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    for batch, steps in SIZES:
        if model.CNN.block_0.drop.drop.p:
            # Other masks: a compiler draws them in an order of its own.
            step(compiled, batch, steps)
        else:
            assert_same_step(compiled, model, batch, steps)
    assert counter.frame_count == 2


def test_compiled_under_autocast():
    model = crdnn().eval()
    compiled = like_inductor(model)
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
def test_inductor_compiles_for_all_sizes():
    model = crdnn(
        cnn_blocks=1, cnn_channels=[2], dnn_blocks=0, time_pooling=True
    ).double()
    compiled = torch.compile(model, fullgraph=True, dynamic=True)
    with (
        torch._inductor.config.patch(cpp_cache_precompile_headers=False),
        torch._dynamo.config.patch(error_on_recompile=True),
    ):
        for batch, steps in SIZES:
            assert_same_step(compiled, model, batch, steps)


@pytest.mark.parametrize("pooling", ["time_pooling", "using_2d_pooling"])
@pytest.mark.filterwarnings("ignore")
def test_scripted(pooling):
    # Not LeakyReLU, whose slope torch.jit rounds to float32 in a backward.
    options = {"activation": torch.nn.ReLU, pooling: True}
    model = crdnn(rnn_layers=2, **options).double().eval()
    scripted = torch.jit.script(model)
    x = twins.data((3, 12, 6))
    assert torch.allclose(scripted(x), model(x), atol=1e-12)
    for training in (False, True):
        model.train(training)
        scripted.train(training)
        for batch, steps in SIZES:
            assert_same_step(scripted, model, batch, steps)


@pytest.mark.parametrize("strict", [False, True])
def test_exported(strict):
    model = crdnn(time_pooling=True).eval()
    x = torch.randn(3, 12, 6)
    program = open_export(model, x, torch.ones(3), strict=strict)
    # Stock's convolutions: the compiler's own are not in the program.
    targets = {str(node.target) for node in program.graph.nodes}
    ours = {t for t in targets if t.startswith("speechbrain_ligru_fast")}
    assert ours == {"speechbrain_ligru_fast.scan.default"}
    x, lengths = torch.randn(5, 30, 6), torch.linspace(0.2, 1, 5)
    got = program.module()(x, lengths=lengths)
    assert torch.allclose(got, model(x, lengths), atol=1e-6)
