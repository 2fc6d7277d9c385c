#!/usr/bin/env bash
# mnn 3.6.1, beside onnxruntime 1.32.0
# Guessed: MNN's converter keeps the direction, the activations and the lengths
#     of a recurrent ONNX node, or refuses it.
# Does: it reads none of them, and says nothing. A reverse GRU reads forwards,
#     Relu is Tanh, and sequence_lens is not looked at.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment mnn==3.6.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
python - <<'PYTHON'
import subprocess

import MNN
import numpy
import onnx
import onnxruntime

random = numpy.random.default_rng(0)
x = random.normal(size=(5, 2, 4)).astype("float32")
lengths = numpy.array([5, 2], "int32")
weights = {
    name: random.normal(size=(1, 9, size)).astype("float32")
    for name, size in (("w", 4), ("r", 3))
}


def last_state(attributes="", inputs="x, w, r"):
    """By ONNX Runtime and by MNN, of a GRU of 3 units over (5, 2, 4)."""
    given, declared = {"x": x}, "float[5, 2, 4] x"
    if "lengths" in inputs:
        given["lengths"] = lengths
        declared += ", int32[2] lengths"
    model = onnx.parser.parse_model(f"""
<ir_version: 10, opset_import: ["" : 20]>
gru ({declared}) => (float[5, 1, 2, 3] y, float[1, 2, 3] last)
{{
  y, last = GRU <hidden_size = 3, linear_before_reset = 1
                 {attributes}> ({inputs})
}}""")
    for name, weight in weights.items():
        weight = onnx.numpy_helper.from_array(weight, name)
        model.graph.initializer.append(weight)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "gru.onnx")
    session = onnxruntime.InferenceSession("gru.onnx")
    (meant,) = session.run(["last"], given)
    command = "mnnconvert -f ONNX --modelFile gru.onnx --MNNModel gru.mnn"
    subprocess.run(
        [*command.split(), "--bizCode", "gru"], check=True, capture_output=True
    )
    network = MNN.nn.load_module_from_file("gru.mnn", list(given), ["last"])
    fed = []
    for value, kind in zip(given.values(), (MNN.expr.float, MNN.expr.int)):
        fed.append(MNN.expr.placeholder(list(value.shape), MNN.expr.NCHW, kind))
        fed[-1].write(value)
    (found,) = network.forward(fed)
    return meant, numpy.array(found.read()).reshape(meant.shape)


plain, plain_mnn = last_state()
print(f"plain: MNN from ONNX Runtime {abs(plain - plain_mnn).max():.1e}")
assert abs(plain - plain_mnn).max() < 1e-5
for name, node in {
    "reverse": [', direction = "reverse"'],
    "Relu": [', activations = ["Sigmoid", "Relu"]'],
    "sequence_lens": ["", "x, w, r, , lengths"],
}.items():
    meant, found = last_state(*node)
    far, same = abs(meant - found).max(), abs(found - plain).max()
    print(f"{name}: MNN from ONNX Runtime {far:.2f}, from plain {same:.1e}")
    assert far > 0.05 and same < 1e-5
PYTHON
