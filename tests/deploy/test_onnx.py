"""ONNX files of Light GRUs, run by ONNX Runtime."""

import copy

import numpy
import pytest
import torch
import twins
from torch.nn.utils import prune

from speechbrain_ligru_fast import LiGRU, SLiGRU

pytest.importorskip("onnxscript", reason="the extra deploy is not installed")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from speechbrain_ligru_fast.deploy.onnx import to_onnx  # noqa: E402
from speechbrain_ligru_fast.deploy.portable import portable  # noqa: E402


def wrapped(net):
    return torch.nn.Sequential(net).eval()


def bent(net):
    net.rnn[1].u = torch.nn.Sequential(net.rnn[1].u, torch.nn.ReLU()).eval()
    return net


def nodes(path):
    model = onnx.load(path)
    assert {opset.domain for opset in model.opset_import} == {""}
    # torch.onnx writes stack traces, with paths, into every node.
    assert b".py" not in path.read_bytes()
    found = [node.op_type for node in model.graph.node]
    return {name: found.count(name) for name in ("GRU", "Scan")}


@pytest.mark.parametrize(
    "kind, nonlinearity, bidirectional, lengths, gru, opset",
    [
        (LiGRU, "relu", True, True, True, 18),
        (LiGRU, "leaky_relu", False, False, True, 20),
        (LiGRU, "tanh", True, False, True, 23),
        (LiGRU, "sin", True, True, False, 20),
        (SLiGRU, "relu", True, True, False, 18),
        (SLiGRU, "relu", False, False, False, 23),
    ],
)
def test_a_layer(
    tmp_path, kind, nonlinearity, bidirectional, lengths, gru, opset
):
    net = twins.trained_layer(
        kind, nonlinearity=nonlinearity, bidirectional=bidirectional
    )
    path = tmp_path / "net.onnx"
    # to_onnx has compared them; here once more, with what it did not choose.
    assert to_onnx(net, path, lengths=lengths, opset=opset) < 1e-5
    assert onnx.load(path).opset_import[0].version == opset
    assert nodes(path) == {"GRU": 2 * gru, "Scan": 2 * (not gru)}
    x = torch.randn(3, 17, 5)
    given = {"x": x}
    if lengths:
        given["lengths"] = torch.tensor([1.0, 1 / 17, 0.5])
        # Padding is not read.
        x[1, 1:] = float("nan")
    session = onnxruntime.InferenceSession(path)
    names = [value.name for value in session.get_inputs()]
    assert names == list(given)
    got = session.run(None, {k: v.numpy() for k, v in given.items()})
    with torch.no_grad():
        for ours, theirs in zip(net(**given), got):
            numpy.testing.assert_allclose(theirs, ours, rtol=0, atol=2e-5)


@pytest.mark.parametrize("gru", [True, False])
def test_openvino(tmp_path, gru):
    openvino = pytest.importorskip("openvino")
    net, path = twins.trained_layer(bidirectional=True), tmp_path / "net.onnx"
    to_onnx(net, path, lengths=False, gru=gru)
    # On CPUs that have bfloat16 it would take that.
    how = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.compile_model(path, "CPU", how)
    x = torch.randn(3, 17, 5)
    with torch.no_grad():
        for ours, name in zip(net(x), ("output", "hidden")):
            got = model([x.numpy()])[name]
            numpy.testing.assert_allclose(got, ours, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "kind, bidirectional, lengths",
    [(LiGRU, True, True), (SLiGRU, True, True), (LiGRU, False, False)],
)
def test_tract(tmp_path, kind, bidirectional, lengths):
    tract = pytest.importorskip("tract")
    net = twins.trained_layer(kind, bidirectional=bidirectional)
    path = tmp_path / "net.onnx"
    to_onnx(net, path, lengths=lengths, gru=False)
    model = tract.onnx().load(path).into_model().into_runnable()
    given = {"x": torch.randn(3, 17, 5)}
    if lengths:
        given["lengths"] = torch.tensor([1.0, 1 / 17, 0.5])
    got = model.run([x.numpy() for x in given.values()])
    with torch.no_grad():
        for ours, theirs in zip(net(**given), got):
            theirs = theirs.to_numpy()
            numpy.testing.assert_allclose(theirs, ours, rtol=0, atol=2e-5)


def test_pieces_with_carried_states_are_the_whole(tmp_path):
    net = twins.trained_layer()
    path = tmp_path / "net.onnx"
    to_onnx(net, path, lengths=False, states=True)
    session = onnxruntime.InferenceSession(path)
    x = torch.randn(2, 21, 5)
    states = numpy.zeros((2, 2, 6), numpy.float32)
    outputs = []
    for piece in x.split([8, 1, 12], 1):
        given = {"x": piece.numpy(), "hx": states}
        output, states = session.run(["output", "hidden"], given)
        outputs.append(output)
    with torch.no_grad():
        whole, last = net(x)
    numpy.testing.assert_allclose(
        numpy.concatenate(outputs, 1), whole, rtol=0, atol=1e-5
    )
    numpy.testing.assert_allclose(states, last, rtol=0, atol=1e-5)


@pytest.mark.parametrize("lengths", [True, False])
def test_a_crdnn(tmp_path, lengths):
    net = twins.crdnn(20, time_pooling=True)
    twins.trained(net, torch.randn(4, 40, 20), torch.ones(4))
    path = tmp_path / "net.onnx"
    assert to_onnx(net, path, torch.zeros(1, 30, 20), lengths) < 1e-5
    assert nodes(path) == {"GRU": 2, "Scan": 0}


@pytest.mark.parametrize("kind", [LiGRU, SLiGRU])
def test_int8_weights(tmp_path, kind):
    torch.manual_seed(0)
    net = twins.trained(kind(192, [None, None, 64]), torch.randn(4, 9, 64))
    sizes = []
    for int8, tolerance in ((False, 1e-5), (True, 0.05)):
        path = tmp_path / "net.onnx"
        # The same form twice, so that int8 alone makes it smaller.
        error = to_onnx(net, path, lengths=False, int8=int8, gru=False)
        assert error < tolerance
        sizes.append(path.stat().st_size)
    # A recurrent matrix in float32 would be three quarters of it.
    assert sizes[1] < 0.3 * sizes[0]
    scan = next(n for n in onnx.load(path).graph.node if n.op_type == "Scan")
    body = next(a.g for a in scan.attribute if a.name == "body")
    assert "MatMulInteger" in [node.op_type for node in body.node]


def test_a_pruned_matrix_is_what_it_multiplies_with(tmp_path):
    net = twins.trained_layer()
    prune.l1_unstructured(net.rnn[0].u, "weight", 0.5)
    assert to_onnx(net, tmp_path / "net.onnx", lengths=False) < 1e-5


def test_a_wrong_file_is_not_written(tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    path.write_text("an earlier one")
    net = twins.trained_layer()
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.rnn[1].u.weight[0, 0] += 0.1
    monkeypatch.setattr(
        "speechbrain_ligru_fast.deploy.onnx.portable",
        lambda module, gru: portable(other, gru),
    )
    with pytest.raises(RuntimeError, match="its ONNX form differs from it by"):
        to_onnx(net, path, lengths=False)
    assert path.read_text() == "an earlier one"
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]


@pytest.mark.parametrize(
    "change, arguments, error, words",
    [
        (lambda n: n.train(), {}, ValueError, "in training mode"),
        (lambda n: n.double(), {}, ValueError, "of torch.float64, expected"),
        (lambda n: n, {"path": "no/net.onnx"}, ValueError, "path: got"),
        (lambda n: n, {"path": "."}, ValueError, "path: got"),
        (lambda n: n, {"opset": 17}, ValueError, "opset: got 17, expected 18"),
        (bent, {}, RuntimeError, "u: got Sequential"),
        (wrapped, {}, ValueError, "example: got None"),
        (
            wrapped,
            {"example": torch.zeros(1, 3, 5), "states": True},
            ValueError,
            "states: got True",
        ),
    ],
)
def test_bad_input(tmp_path, monkeypatch, change, arguments, error, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        to_onnx(
            change(twins.trained_layer()), **{"path": "net.onnx", **arguments}
        )
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    # Asked before any work. Root may write everywhere, so it is told.
    monkeypatch.setattr("os.access", lambda folder, mode: folder != tmp_path)
    with pytest.raises(ValueError, match="can be written to"):
        to_onnx(twins.trained_layer(), tmp_path / "net.onnx")


def test_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"onnxruntime: not .*\[deploy\]"):
        to_onnx(twins.trained_layer(), tmp_path / "net.onnx")
