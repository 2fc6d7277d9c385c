"""What compilers keep on disk of the operators, and saved models name.

torch.compile finds the graphs that it keeps on disk by the names and constant
arguments of the operators in them, not by what their fakes promise.
"""

import hashlib
import inspect

import pytest
import torch
import twins
from captures import script_in_a_file, through_a_file, traced
from torch._dynamo.backends.common import aot_autograd

import speechbrain_ligru_fast as fast
from speechbrain_ligru_fast.lobe import cnn
from speechbrain_ligru_fast.scan import operator as ops

# Version of ``scan`` and ``scan_backward`` -> what a graph holds of them. If
# this fails, a fake or a formula of gradients has changed: unless it means
# the same as before, raise ops.VERSION and the number in ``ligru_scan``.
KEPT = {2: "fa03ef4918228d8d"}
# Of the CNN's operators. They have no version yet: give the one that changes
# an argument ``version`` as scan's.
KEPT_OF_CNN = "3255e8e0f46b0b99"


def digest(*functions):
    text = "".join(inspect.getsource(function) for function in functions)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_the_version_changes_with_what_it_is_of():
    assert KEPT[ops.VERSION] == digest(
        ops._fake_scan, ops._fake_scan_backward, ops._setup_context,
        ops._backward,
    )  # fmt: skip
    assert KEPT_OF_CNN == digest(
        cnn._fake_conv2d, cnn._fake_conv2d_backward, cnn._fake_max_pool,
        cnn._fake_max_pool_backward, cnn._setup_conv2d, cnn._conv2d_gradients,
        cnn._setup_max_pool, cnn._max_pool_gradients,
    )  # fmt: skip


def test_graphs_name_the_version(fresh_compiler):
    """Of the forward by what dynamo sees, of the backward by its own."""
    graphs = []

    def look(graph, inputs):
        graphs.append(graph)
        return graph.forward

    w = torch.randn(2, 5, 8).requires_grad_()
    u = torch.randn(8, 4)
    backend = aot_autograd(fw_compiler=look, bw_compiler=look)
    torch.compile(fast.ligru_scan, backend=backend)(w, u).sum().backward()
    forward, backward = (
        [n for n in graph.graph.nodes if "ligru_fast" in str(n.target)]
        for graph in graphs
    )
    assert [n.args[-1] for n in forward + backward] == [ops.VERSION] * 2
    # TorchScript reads no constant of a module.
    scripted = torch.jit.script(fast.ligru_scan)
    assert f", {ops.VERSION})" in scripted.code


class Before(torch.nn.Module):
    """The call as models of version 1 hold it."""

    def forward(self, w, u):
        return torch.ops.speechbrain_ligru_fast.scan(
            w, u, None, None, None, None, None, "relu", 2, False, 1e-5,
            "auto", True,
        )[0]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_models_that_name_no_version_still_load():
    w, u = twins.data((3, 4, 6)), twins.data((6, 3), seed=2)
    want = fast.ligru_scan(w, u, directions=2)
    program = torch.export.export(Before(), (w, u))
    jit, export = torch.jit, torch.export
    for model in (
        script_in_a_file(Before()),
        through_a_file(jit.save, jit.load, traced(Before(), w, u)),
        through_a_file(export.save, export.load, program).module(),
    ):
        got = model(w, u)
        assert torch.equal(got, want)
        got.sum().backward()
    assert u.grad.any()
