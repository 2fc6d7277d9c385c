"""Layers that are scripted, traced, compiled, exported, pickled, copied."""

import pytest
import torch
import twins
from captures import (
    COPIES,
    LIKE_INDUCTOR,
    SIZES,
    open_export,
    script_in_a_file,
    scripted,
)
from fresh import python
from torch._dynamo.testing import CompileCounterWithBackend

import speechbrain_ligru_fast as fast

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.usefixtures("fresh_compiler"),
]

SHAPE = (3, 7, 5)
LENGTHS = torch.tensor([1.0, 0.6, 0.3])


def assert_same_steps(net, capture, inputs):
    """A captured net gives the results and gradients of the net."""
    state = {k: v.clone() for k, v in net.state_dict().items()}
    for given in inputs:
        net.load_state_dict(state)
        want = twins.run(net, **given)
        net.load_state_dict(state)
        found = twins.run(capture(net), **given)
        found = {k.replace("_orig_mod.", ""): v for k, v in found.items()}
        twins.assert_equal(found, want)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize(
    "normalization", ["batchnorm", "layernorm", "identity"]
)
def test_scripted(backend, model, normalization):
    key = "normalization" if model == "LiGRU" else "ff_normalization"
    ours = getattr(fast, model)(
        5, SHAPE, num_layers=2, bidirectional=True, backend=backend,
        **{key: normalization},
    ).double()  # fmt: skip
    x, hx = twins.data(SHAPE), twins.data((4, 3, 5), seed=6)
    inputs = [dict(x=x), dict(x=x, hx=hx), dict(x=x, hx=hx, lengths=LENGTHS)]
    assert_same_steps(ours, scripted, inputs)


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("capture", COPIES)
def test_same_steps(capture, model, recompute):
    keeping, _ = twins.build(model, SHAPE, bidirectional=True)
    ours = getattr(fast, model)(
        7, SHAPE, bidirectional=True, backend="reference", recompute=recompute
    ).double()
    ours.load_state_dict(keeping.state_dict(), strict=True)
    assert ours.state_dict().keys() == keeping.state_dict().keys()
    inputs = [dict(x=twins.data(SHAPE)), dict(x=twins.data(SHAPE))]
    inputs[1]["lengths"] = LENGTHS
    assert_same_steps(ours, capture, inputs)


def test_scripted_from_a_file_with_dropout():
    ours = fast.SLiGRU(5, (3, 7, 5, 1), dropout=0.2).eval()
    loaded = script_in_a_file(ours)
    x = torch.randn(3, 7, 5, 1)
    output, hidden = loaded(x, lengths=LENGTHS)
    assert torch.allclose(output, ours(x, lengths=LENGTHS)[0])
    assert output.shape == (3, 7, 5) and hidden.shape == (1, 3, 5)
    # Other sizes, and dropout once in train mode. Two masks may be equal:
    # this seed's are not.
    torch.manual_seed(1)
    loaded.train()
    x = torch.randn(2, 4, 5, 1)
    assert not torch.equal(loaded(x)[0], loaded(x)[0])


def test_scripted_in_another_process(tmp_path):
    file = tmp_path / "net.pt"
    torch.jit.save(torch.jit.script(fast.LiGRU(5, SHAPE)), file)
    code = "import torch, speechbrain_ligru_fast.ops\n"
    code += f"net = torch.jit.load({str(file)!r})\n"
    code += f"print(tuple(net(torch.randn{SHAPE})[0].shape))"
    assert python(code).stdout.strip() == "(3, 7, 5)"


@pytest.mark.parametrize(
    "given, words",
    [
        (dict(x=torch.randn(3, 7, 4)), "x: got 4 features, expected 5"),
        (dict(x=torch.ones(3, 7, 5).long()), "x: got dtype"),
        (dict(lengths=torch.ones(2)), "lengths: got shape"),
        (dict(lengths=torch.tensor([9.0, 1, 1])), "expected relative lengths"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_scripted_checks_its_input(given, words):
    script = scripted(fast.LiGRU(5, SHAPE))
    with pytest.raises(torch.jit.Error, match=words):
        script(**{"x": torch.randn(SHAPE), **given})


def counted(net):
    """A compiled layer, and what counts its graphs."""
    counter = CompileCounterWithBackend(LIKE_INDUCTOR)
    return torch.compile(net, backend=counter, fullgraph=True), counter


@pytest.mark.parametrize("model, lengths", [("LiGRU", False), ("SLiGRU", True)])
def test_training_compiles_once_for_all_sizes(model, lengths):
    """Twice: dynamo leaves open what changes in the second call."""
    ours = getattr(fast, model)(
        5, (4, 12, 6), num_layers=2, bidirectional=True, dropout=0.2
    )
    run, counter = counted(ours)
    for batch, steps in SIZES:
        given = torch.linspace(0.3, 1, batch) if lengths else None
        run(torch.randn(batch, steps, 6), None, given)[0].sum().backward()
    assert counter.frame_count == 2


@torch.no_grad()
def test_inference_compiles_once_for_all_sizes(backend):
    ours = fast.LiGRU(5, (4, 12, 6), backend=backend).eval()
    run, counter = counted(ours)
    for batch, steps in SIZES:
        x = torch.randn(batch, steps, 6)
        for got, want in zip(run(x), ours(x)):
            assert torch.allclose(got, want, atol=1e-6)
    assert counter.frame_count == 2


@pytest.mark.parametrize("model", twins.MODELS)
@pytest.mark.parametrize("recompute", [False, True])
def test_exported(model, recompute):
    ours = getattr(fast, model)(
        5, SHAPE, num_layers=2, bidirectional=True, recompute=recompute
    ).eval()
    exported = open_export(ours, torch.randn(SHAPE), LENGTHS).module()
    x, lengths = torch.randn(6, 20, 5), torch.linspace(0.1, 1, 6)
    want = ours(x, lengths=lengths)
    for got, value in zip(exported(x, lengths=lengths), want):
        assert torch.allclose(got, value, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 6])
@pytest.mark.parametrize("grad", [False, True])
def test_traced(steps, grad):
    """torch's own check runs without gradients, and compares the graphs."""
    ours = fast.LiGRU(5, (3, 6, 4), bidirectional=True).eval()
    with torch.set_grad_enabled(grad):
        traced = torch.jit.trace(
            ours, (torch.randn(3, steps, 4),), check_trace=not grad
        )
    for shape in ((2, 9, 4), (4, 1, 4)):
        x = torch.randn(shape)
        assert torch.allclose(traced(x)[0], ours(x)[0], atol=1e-6)
