#!/usr/bin/env bash
# mnn 3.6.1, beside onnxruntime 1.32.0
# Guessed: MNN's converter keeps what an ONNX GRU computes, or refuses it.
# Does: it takes every GRU for one with linear_before_reset = 1, as PyTorch's
#     is. One with ONNX's default, 0 (the reset gate before the product, as in
#     the GRU's first paper), becomes the other, and nothing says so.
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
weights = {
    name: random.normal(size=(1, 9, size)).astype("float32")
    for name, size in (("w", 4), ("r", 3))
}


def last_state(linear_before_reset):
    """By ONNX Runtime and by MNN, of a GRU of 3 units over (5, 2, 4)."""
    model = onnx.parser.parse_model(f"""
<ir_version: 10, opset_import: ["" : 20]>
gru (float[5, 2, 4] x) => (float[5, 1, 2, 3] y, float[1, 2, 3] last)
{{
  y, last = GRU <hidden_size = 3,
                 linear_before_reset = {linear_before_reset}> (x, w, r)
}}""")
    for name, weight in weights.items():
        weight = onnx.numpy_helper.from_array(weight, name)
        model.graph.initializer.append(weight)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "gru.onnx")
    session = onnxruntime.InferenceSession("gru.onnx")
    (meant,) = session.run(["last"], {"x": x})
    command = "mnnconvert -f ONNX --modelFile gru.onnx --MNNModel gru.mnn"
    subprocess.run(
        [*command.split(), "--bizCode", "gru"], check=True, capture_output=True
    )
    network = MNN.nn.load_module_from_file("gru.mnn", ["x"], ["last"])
    given = MNN.expr.placeholder(list(x.shape), MNN.expr.NCHW)
    given.write(x)
    (found,) = network.forward([given])
    return meant, numpy.array(found.read()).reshape(meant.shape)


(before, before_mnn), (after, after_mnn) = last_state(0), last_state(1)
far = [abs(before - after).max(), abs(before_mnn - after_mnn).max()]
print(f"0 and 1 differ by {far[0]:.2f} in ONNX Runtime, {far[1]:.1e} in MNN")
print(f"MNN from ONNX Runtime with 1: {abs(after - after_mnn).max():.1e}")
assert far[0] > 0.1
assert far[1] < 1e-5 and abs(after - after_mnn).max() < 1e-5
PYTHON
