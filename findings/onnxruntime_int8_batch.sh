#!/usr/bin/env bash
# onnxruntime 1.32.0 (with onnx 1.23.2)
# Guessed: what quantize_dynamic makes of a model gives an utterance the same
#     numbers alone as beside others in a batch, as the model itself does.
# Does: what is multiplied is rounded to 256 steps of the loudest number in the
#     whole batch. Beside an utterance a hundred times as large, a small one is
#     hardly anything but rounding.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

random = numpy.random.default_rng(0)
weights = random.normal(size=(64, 32)).astype("float32")
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["y"])],
    "product",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", "T", 64])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", "T", 32])],
    [numpy_helper.from_array(weights, "w")],
)
opset = [helper.make_opsetid("", 20)]
onnx.save(
    helper.make_model(graph, opset_imports=opset, ir_version=10), "fp32.onnx"
)
quantize_dynamic("fp32.onnx", "int8.onnx")
quiet, loud = random.normal(size=(2, 1, 50, 64)).astype("float32")
both = numpy.concatenate([quiet, 100 * loud])
errors = {}
for name in ("fp32", "int8"):
    session = onnxruntime.InferenceSession(f"{name}.onnx")
    alone = session.run(None, {"x": quiet})[0]
    beside = session.run(None, {"x": both})[0][:1]
    exact = quiet @ weights
    errors[name] = [
        float(abs(found - exact).max() / abs(exact).max())
        for found in (alone, beside)
    ]
    print(name, "alone: {:.1e}, in a batch: {:.1e}".format(*errors[name]))
assert max(errors["fp32"]) < 1e-5
assert errors["int8"][0] < 0.05 and errors["int8"][1] > 0.3
PYTHON
