#!/usr/bin/env bash
# openvino 2026.4.1, beside onnxruntime 1.32.0
# Guessed: an ONNX recurrent node with sequence_lens stops at each utterance's
#     last frame, whether its sizes are written in the file or left open, as an
#     export with a dynamic batch leaves them.
# Does: with all sizes fixed it does. With an open batch and time sequence_lens
#     is ignored, and nothing says so: padding is read as speech, and the last
#     state is that after it. GRU, LSTM and RNN alike; in float32.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
python - <<'PYTHON'
import numpy
import onnx
import onnxruntime
import openvino

random = numpy.random.default_rng(0)
x = random.normal(size=(5, 2, 4)).astype("float32")
given = {"x": x, "lengths": numpy.array([5, 2], "int32")}


def difference(operator, gates, time, batch):
    """Between the two's last states, of 3 units over (5, 2, 4)."""
    model = onnx.parser.parse_model(f"""
<ir_version: 10, opset_import: ["" : 20]>
recurrent (float[{time}, {batch}, 4] x, int32[{batch}] lengths) => (
    float[{time}, 1, {batch}, 3] y, float[1, {batch}, 3] last)
{{
  y, last = {operator} <hidden_size = 3> (x, w, r, , lengths)
}}""")
    for name, size in (("w", 4), ("r", 3)):
        weight = random.normal(size=(1, gates * 3, size)).astype("float32")
        weight = onnx.numpy_helper.from_array(weight, name)
        model.graph.initializer.append(weight)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    session = onnxruntime.InferenceSession("model.onnx")
    compiled = openvino.Core().compile_model(
        "model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    last = compiled(given)["last"]
    return float(abs(session.run(["last"], given)[0] - last).max())


print("largest difference of the last states from ONNX Runtime's")
for operator, gates in {"GRU": 3, "LSTM": 4, "RNN": 1}.items():
    fixed = difference(operator, gates, 5, 2)
    open_ = difference(operator, gates, "time", "batch")
    print(f"{operator}: sizes fixed {fixed:.1e}, open {open_:.2f}")
    assert fixed < 1e-5
    assert open_ > 0.05
PYTHON
