"""What operators promise a compiler is what they give.

Shape, strides, dtype and device of every result, whatever the strides of the
arguments: torch.library.opcheck compares no strides, but a compiled graph
asserts those that a fake has.
"""

import itertools

import pytest
import torch
from scan_cases import arguments, backward_operands, operands
from torch._subclasses import FakeTensorMode
from torch.utils._pytree import tree_map

from speechbrain_ligru_fast.lobe import cnn
from speechbrain_ligru_fast.scan import lengths
from speechbrain_ligru_fast.scan import operator as ops
from speechbrain_ligru_fast.scan.registration import NAMESPACE


def described(results):
    if torch.is_tensor(results):
        results = (results,)
    return [(x.shape, x.stride(), x.dtype, x.device) for x in results]


def assert_promise_kept(operator, *arguments):
    """Compares the real results of an operator with its fake's."""
    real = operator(*arguments)
    with FakeTensorMode() as mode:
        fakes = tree_map(
            lambda x: mode.from_tensor(x) if torch.is_tensor(x) else x,
            arguments,
        )
        promised = operator(*fakes)
    assert described(real) == described(promised)
    return real


def turned(x):
    """The same numbers, the last dimension outermost in memory."""
    order = tuple(reversed(range(x.dim())))
    return x.permute(order).contiguous().permute(order)


def laid_out(x):
    """The same numbers in other strides, the given ones first."""
    yield x
    yield turned(x)
    yield torch.cat([x, x], -1)[..., : x.size(-1)]
    yield x[:1].expand_as(x)
    if x.dim() > 1:
        yield x.transpose(0, 1).contiguous().transpose(0, 1)
    if x.dim() == 4:
        yield x.to(memory_format=torch.channels_last)


def each_laid_out(operator, arguments, one_by_one=True):
    """One argument after another in other strides, then all of them."""
    for i, argument in enumerate(arguments if one_by_one else ()):
        if torch.is_tensor(argument):
            for x in laid_out(argument):
                changed = [*arguments[:i], x, *arguments[i + 1 :]]
                assert_promise_kept(operator, *changed)
    arguments = [turned(x) if torch.is_tensor(x) else x for x in arguments]
    return assert_promise_kept(operator, *arguments)


SIZES = [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 1)]
EMPTY = [(0, 4, 5), (3, 0, 5), (0, 0, 1)]
DTYPES = [
    (torch.float32, torch.float32),
    (torch.float64, torch.float64),
    (torch.float32, torch.bfloat16),
    (torch.bfloat16, torch.bfloat16),
    (torch.float16, torch.float16),
]


def scan_operands(size, directions, norm, given, dtypes=DTYPES[0]):
    dtype, dtype_of_u = dtypes
    found = arguments(
        *size, dtype, given, given, nonlinearity="tanh", directions=directions,
        layernorm=norm is not None, affine=norm == "affine",
    )  # fmt: skip
    found["u"] = found["u"].to(dtype_of_u)
    if given:
        found["lengths"] = torch.full(size[:1], min(size[1], 1))
    return [x.detach() if torch.is_tensor(x) else x for x in operands(found)]


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("norm", [None, "plain", "affine"])
@pytest.mark.parametrize("given", [False, True])
def test_strides_of_each_argument(backend, directions, norm, given):
    args = [*scan_operands((3, 4, 5), directions, norm, given), backend]
    assert_promise_kept(ops.scan, *args, False, False)
    # Turned in both modes, one after another in the usual one.
    for recompute in (False, True):
        options = [True, recompute]
        found = each_laid_out(ops.scan, [*args, *options], not recompute)
        given = backward_operands(args, found, recompute)
        each_laid_out(ops.scan_backward, given, not recompute)


@pytest.mark.parametrize("size", SIZES + EMPTY, ids=str)
def test_sizes_and_types(backend, size):
    cases = itertools.product(
        (1, 2), (None, "affine"), (False, True), DTYPES, (False, True)
    )
    # Every seventh: each value meets each value of another option.
    for directions, norm, given, dtypes, recompute in list(cases)[::7]:
        args = [*scan_operands(size, directions, norm, given, dtypes), backend]
        found = assert_promise_kept(ops.scan, *args, True, recompute)
        given = backward_operands(args, found, recompute)
        assert_promise_kept(ops.scan_backward, *given)


def test_only_what_is_needed_has_a_size(backend):
    args = [*scan_operands((3, 4, 5), 2, "affine", True), backend]
    found = ops.scan(*args, True)
    for needs in itertools.product((False, True), repeat=5):
        given = backward_operands(args, found, False, list(needs))
        results = assert_promise_kept(ops.scan_backward, *given)
        assert [x.numel() > 0 for x in results] == list(needs)


def test_autocast(backend):
    args = [*scan_operands((3, 4, 5), 2, "affine", True), backend]
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype=dtype):
            each_laid_out(ops.scan, [*args, True])


def test_frames():
    each_laid_out(lengths.relative_frames, [torch.tensor([1.0, 0.5, 0.7]), 9])


# In the operator's order.
PLAIN = dict(
    x=None, weight=None, padding=[1] * 4, stride=[1, 1], dilation=[1, 1],
    groups=1,
)  # fmt: skip
CONVOLUTIONS = [
    dict(x=(2, 9, 6, 3), weight=(4, 3, 3, 3)),
    dict(x=(2, 9, 6, 1), weight=(4, 1, 3, 3)),
    dict(x=(1, 9, 6, 3), weight=(1, 3, 3, 3)),
    dict(x=(2, 9, 6, 3), weight=(4, 3, 1, 1), padding=[0] * 4),
    dict(x=(2, 9, 6, 4), weight=(4, 2, 3, 3), groups=2),
    dict(x=(2, 9, 6, 3), weight=(4, 3, 3, 3), stride=[2, 1], dilation=[1, 2]),
]


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("bias", [False, True])
def test_convolution(case, bias):
    x, weight, *options = (PLAIN | case).values()
    x, weight = torch.randn(x), torch.randn(weight)
    bias = torch.randn(weight.size(0)) if bias else None
    y = each_laid_out(cnn.conv2d, [x, weight, bias, *options])
    for needs in itertools.product((False, True), repeat=3):
        if any(needs):
            given = [torch.randn_like(y), x, weight, *options, list(needs)]
            each_laid_out(cnn.conv2d_backward, given)


@pytest.mark.parametrize("axis, size", [(1, 2), (2, 3), (3, 1), (1, 1)])
@pytest.mark.parametrize("shape", [(2, 9, 6, 3), (1, 4, 3, 1), (2, 4, 1, 1)])
def test_pooling(axis, size, shape):
    size = min(size, shape[axis])
    each_laid_out(cnn.max_pool, [torch.randn(shape), axis, size])
    y, indices = cnn.max_pool(torch.randn(shape), axis, size)
    given = [torch.randn_like(y), indices, axis, shape[axis]]
    each_laid_out(cnn.max_pool_backward, given)


def test_every_operator_is_here():
    found = {
        name.partition("::")[2].partition(".")[0]
        for name in torch._C._dispatch_get_all_op_names()
        if name.startswith(f"{NAMESPACE}::")
    }
    assert found - {"doubled"} == {
        "scan", "scan_backward", "relative_frames", "conv2d",
        "conv2d_backward", "max_pool", "max_pool_backward",
    }  # fmt: skip


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
