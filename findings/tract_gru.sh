#!/usr/bin/env bash
# tract 0.23.9, beside onnxruntime 1.32.0
# Guessed: tract's importer of ONNX keeps what a GRU node computes, or refuses.
# Does: the node's activations, its direction "reverse" and its clip are not
#     read. A GRU with Relu, or from the end, gives the numbers of the plain
#     one with Tanh from the start; "bidirectional" is right.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment tract==0.23.9 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
python - <<'PYTHON'
import numpy
import onnx
import onnxruntime
import tract

random = numpy.random.default_rng(0)
x = random.normal(size=(7, 2, 4)).astype("float32")
weights = {
    name: random.normal(size=(2, 9, size)).astype("float32")
    for name, size in (("w", 4), ("r", 3))
}


def outputs(attributes, directions=1):
    """Of a GRU of 3 units, by ONNX Runtime and by tract."""
    model = onnx.parser.parse_model(f"""
<ir_version: 10, opset_import: ["" : 20]>
gru (float[7, 2, 4] x) => (float[7, {directions}, 2, 3] y)
{{
  y = GRU <hidden_size = 3{attributes}> (x, w, r)
}}""")
    for name, weight in weights.items():
        tensor = onnx.numpy_helper.from_array(weight[:directions], name)
        model.graph.initializer.append(tensor)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "gru.onnx")
    session = onnxruntime.InferenceSession("gru.onnx")
    (meant,) = session.run(None, {"x": x})
    network = tract.onnx().load("gru.onnx").into_model().into_runnable()
    return meant, network.run([x])[0].to_numpy()


def far(one, other):
    return float(abs(one - other).max())


plain, plain_tract = outputs("")
both, both_tract = outputs(', direction = "bidirectional"', 2)
print(f"plain: {far(plain, plain_tract):.1e} from ONNX Runtime's")
print(f"bidirectional: {far(both, both_tract):.1e}")
assert far(plain, plain_tract) < 1e-6 and far(both, both_tract) < 1e-6
for attributes in (
    ', direction = "reverse"',
    ', activations = ["Sigmoid", "Relu"]',
    ", clip = 0.5",
):
    meant, found = outputs(attributes)
    print(
        f"{attributes[2:]}: {far(meant, found):.2f} from ONNX Runtime's, "
        f"{far(plain_tract, found):.1f} from the plain one's"
    )
    assert far(meant, found) > 0.1 and far(plain_tract, found) == 0.0
PYTHON
