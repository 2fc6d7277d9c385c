#!/usr/bin/env bash
# openvino 2026.4.1, beside onnxruntime 1.32.0
# Guessed: an ONNX LSTM node's attributes are obeyed, or the model is refused,
#     as one with the activation Softsign is.
# Does: input_forget (coupled gates) is ignored, and a bidirectional node's
#     backward activations too: the forward ones serve both ways. Nothing says
#     so. With the defaults, and one activation for both ways, the two agree.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
python - <<'PYTHON'
import numpy
import onnx
import onnxruntime
import openvino

random = numpy.random.default_rng(0)
given = {"x": random.normal(size=(5, 2, 4)).astype("float32")}


def difference(attributes):
    """Per direction, of a bidirectional LSTM of 3 units over (5, 2, 4)."""
    model = onnx.parser.parse_model(f"""
<ir_version: 10, opset_import: ["" : 20]>
lstm (float[5, 2, 4] x) => (float[5, 2, 2, 3] y)
{{
  y = LSTM <hidden_size = 3, direction = "bidirectional"{attributes}> (x, w, r)
}}""")
    for name, size in (("w", 4), ("r", 3)):
        weight = random.normal(size=(2, 12, size)).astype("float32")
        weight = onnx.numpy_helper.from_array(weight, name)
        model.graph.initializer.append(weight)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    session = onnxruntime.InferenceSession("model.onnx")
    compiled = openvino.Core().compile_model(
        "model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    far = abs(session.run(None, given)[0] - compiled(given)["y"])
    return [float(far[:, way].max()) for way in (0, 1)]


tanh, relu = '"Sigmoid", "Tanh", "Tanh"', '"Sigmoid", "Relu", "Relu"'
found = {
    "defaults": difference(""),
    "Relu both ways": difference(f", activations = [{relu}, {relu}]"),
    "Relu backwards": difference(f", activations = [{tanh}, {relu}]"),
    "input_forget": difference(", input_forget = 1"),
}
print("largest difference from ONNX Runtime, forwards and backwards")
for name, (forwards, backwards) in found.items():
    print(f"{name}: {forwards:.1e}, {backwards:.1e}")
assert max(found["defaults"] + found["Relu both ways"]) < 1e-4
assert found["Relu backwards"][0] < 1e-4 < 0.1 < found["Relu backwards"][1]
assert min(found["input_forget"]) > 0.05
PYTHON
