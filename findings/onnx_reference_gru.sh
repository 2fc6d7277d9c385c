#!/usr/bin/env bash
# onnx 1.23.2, its ReferenceEvaluator, beside onnxruntime 1.32.0
# Guessed: what ONNX calls its reference evaluator computes a GRU node with the
#     activations and the sequence_lens that the node names, or refuses it.
# Does: it reads neither, and says nothing: a GRU with Relu is computed with
#     Tanh, and padding is read as if it were speech. Both directions, and the
#     node's defaults, agree with ONNX Runtime.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
python - <<'PYTHON'
import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

random = numpy.random.default_rng(0)
x = random.normal(size=(5, 2, 4)).astype("float32")


def difference(activation, lengths=None):
    """Between the two, of a GRU of 3 units over (5, 2, 4)."""
    weights = [random.normal(size=(2, 9, n)).astype("float32") for n in (4, 3)]
    float_, int_ = TensorProto.FLOAT, TensorProto.INT32
    graph = helper.make_graph(
        [
            helper.make_node(
                "GRU",
                ["x", "w", "r"] + ["", "lengths"] * (lengths is not None),
                ["y"],
                hidden_size=3,
                direction="bidirectional",
                activations=["Sigmoid", activation] * 2,
            )
        ],
        "gru",
        [helper.make_tensor_value_info("x", float_, [5, 2, 4])]
        + [helper.make_tensor_value_info("lengths", int_, [2])]
        * (lengths is not None),
        [helper.make_tensor_value_info("y", float_, [5, 2, 2, 3])],
        [numpy_helper.from_array(w, n) for w, n in zip(weights, "wr")],
    )
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    onnx.checker.check_model(model)
    given = {"x": x}
    if lengths is not None:
        given["lengths"] = numpy.array(lengths, "int32")
    ours = ReferenceEvaluator(model).run(None, given)[0]
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return float(abs(ours - session.run(None, given)[0]).max())


plain, relu = difference("Tanh"), difference("Relu")
padded = difference("Tanh", [5, 2])
print("largest difference from ONNX Runtime")
print(f"Tanh: {plain:.1e}, Relu: {relu:.2f}, sequence_lens: {padded:.2f}")
assert plain < 1e-5 and relu > 0.1 and padded > 0.1
PYTHON
