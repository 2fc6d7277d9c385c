#!/usr/bin/env bash
# onnx 1.23.2
# Guessed: onnx.compose.add_prefix(), with which two models are joined, gives
#     every name of a valid model a prefix, and the model stays valid.
# Does: a loop's body that uses a weight of the graph around it goes on with
#     the weight's old name. Every recurrence that is a Scan is such: the
#     renamed model is refused by the checker.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment onnx==1.23.2 numpy==2.4.6
python - <<'PYTHON'
from onnx import checker, compose, parser

model = parser.parse_model("""
<ir_version: 10, opset_import: ["" : 18]>
layer (float[3, 2] x) => (float[3, 2] y)
<float[2] weight = {1, 2}, float[2] start = {0, 0}> {
  last, y = Scan <num_scan_inputs = 1, body =
    step (float[2] h, float[2] frame) => (float[2] next, float[2] out) {
      product = Mul (h, weight)
      next = Add (product, frame)
      out = Identity (next)
    }> (start, x)
}""")
checker.check_model(model, full_check=True)
renamed = compose.add_prefix(model, "one/")
(loop,) = renamed.graph.node
body = next(a.g for a in loop.attribute if a.name == "body")
names = list(body.node[0].input), [w.name for w in renamed.graph.initializer]
print(f"the body multiplies {names[0]}; the weights are {names[1]}")
assert names[0] == ["one/h", "weight"] and "one/weight" in names[1]
try:
    checker.check_model(renamed, full_check=True)
except checker.ValidationError as error:
    print("checker:", str(error).splitlines()[0])
else:
    raise SystemExit("the renamed model is valid now")
PYTHON
