#!/usr/bin/env bash
# onnxruntime 1.32.0, on a CPU (with onnx 1.23.2)
# Guessed: a recurrent layer with the activation ThresholdedRelu and no
#     activation_alpha has the threshold of ONNX's ThresholdedRelu, 1, as ONNX
#     says of all such defaults.
# Does: it is 0, in RNN, GRU and LSTM, and so the activation is a Relu. With
#     activation_alpha=[1.0] it is 1.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
python - <<'PYTHON'
import numpy
import onnxruntime
from onnx import TensorProto, helper

f32 = TensorProto.FLOAT
layers = {  # gates, activations: the cell's is ThresholdedRelu
    "RNN": (1, ["ThresholdedRelu"]),
    "GRU": (3, ["Sigmoid", "ThresholdedRelu"]),
    "LSTM": (4, ["Sigmoid", "ThresholdedRelu", "Tanh"]),
}


def run(layer, **attributes):
    gates, activations = layers[layer]
    # The cell's weight, the last, is 1; the other gates are sigmoid(0).
    w = [0.0] * (gates - 1) + [1.0]
    graph = helper.make_graph(
        [
            helper.make_node(
                layer,
                ["x", "w", "r"],
                ["y"],
                hidden_size=1,
                activations=activations,
                **attributes,
            )
        ],
        "layer",
        [helper.make_tensor_value_info("x", f32, [1, 1, 1])],
        [helper.make_tensor_value_info("y", f32, [1, 1, 1, 1])],
        [
            helper.make_tensor("w", f32, [1, gates, 1], w),
            helper.make_tensor("r", f32, [1, gates, 1], [0.0] * gates),
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    half = numpy.full((1, 1, 1), 0.5, numpy.float32)
    return session.run(None, {"x": half})[0].item()


default = {layer: run(layer) for layer in layers}
given = {layer: run(layer, activation_alpha=[1.0]) for layer in layers}
print(f"of 0.5: {default}, with activation_alpha=[1.0]: {given}")
assert set(given.values()) == {0.0}
assert default["RNN"] == 0.5 and default["GRU"] == 0.25
assert 0.1 < default["LSTM"] < 0.2
PYTHON
