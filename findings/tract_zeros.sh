#!/usr/bin/env bash
# tract 0.23.9, beside onnxruntime 1.32.0
# Guessed: a state that starts as ONNX's ConstantOfShape without a value, which
#     means zeros of float32, runs in tract as in ONNX Runtime.
# Does: tract takes such zeros for float64 and refuses the loop that they enter
#     ("Impossible to unify F32 with F64"). With the same zero written down it
#     runs. Exporters leave it out: it is the default.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment tract==0.23.9 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
python - <<'PYTHON'
import numpy
import onnx
import onnxruntime
import tract

x = numpy.random.default_rng(0).normal(size=(7, 2, 4)).astype("float32")


def sums(zeros):
    """A running sum by Scan; its first state is made by `zeros`."""
    model = onnx.parser.parse_model(f"""
<ir_version: 10, opset_import: ["" : 20]>
sums (float[7, 2, 4] x) => (float[7, 2, 4] y)
{{
  shape = Constant <value = int64[2] {{2, 4}}> ()
  first = {zeros} (shape)
  last, y = Scan <num_scan_inputs = 1, body = step
    (float[2, 4] state, float[2, 4] frame) => (float[2, 4] sum, float[2, 4] out)
    {{
      sum = Add(state, frame)
      out = Identity(sum)
    }}> (first, x)
}}""")
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "sums.onnx")
    (meant,) = onnxruntime.InferenceSession("sums.onnx").run(None, {"x": x})
    assert abs(meant - x.cumsum(0)).max() < 1e-6
    try:
        network = tract.onnx().load("sums.onnx").into_model().into_runnable()
    except Exception as error:
        return str(error)
    return float(abs(network.run([x])[0].to_numpy() - meant).max())


spelled = sums("ConstantOfShape <value = float[1] {0.0}>")
print("zeros written down:", spelled, "from ONNX Runtime")
silent = sums("ConstantOfShape")
print("zeros by default:", " ".join(silent.split()[:12]))
assert spelled < 1e-6
assert "F64" in silent
PYTHON
