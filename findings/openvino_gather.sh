#!/usr/bin/env bash
# openvino 2026.4.1, beside onnxruntime 1.32.0
# Guessed: the ONNX GatherElements of torch.gather takes of (2, 5, 4) the half
#     (2, 1, 2) of frame 4, as ONNX, ONNX Runtime and PyTorch do: the last
#     state of one of two directions is picked so from padded utterances.
# Does: it raises an error when the model is compiled. Along other axes than the
#     gathered one the indices must be as long as the data: all of (2, 1, 4).
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
python - <<'PYTHON'
import numpy
import onnx
import onnxruntime
import openvino

x = numpy.arange(40, dtype="float32").reshape(2, 5, 4)


def frame_4(units):
    """By ONNX Runtime and by OpenVINO, or the start of its error."""
    model = onnx.parser.parse_model(f"""
<ir_version: 10, opset_import: ["" : 20]>
gather (float[2, 5, 4] x, int64[2, 1, {units}] frames) => (
    float[2, 1, {units}] y)
{{
  y = GatherElements <axis = 1> (x, frames)
}}""")
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "gather.onnx")
    given = {"x": x, "frames": numpy.full((2, 1, units), 4)}
    session = onnxruntime.InferenceSession("gather.onnx")
    meant = session.run(None, given)[0]
    assert (meant == x[:, 4:, :units]).all()
    try:
        compiled = openvino.Core().compile_model("gather.onnx", "CPU")
    except RuntimeError as error:
        return meant.tolist(), str(error)
    return meant.tolist(), compiled(given)["y"].tolist()


whole, whole_openvino = frame_4(4)
half, half_openvino = frame_4(2)
print(f"4 units: ONNX Runtime {whole}, OpenVINO {whole_openvino}")
print(f"2 units: ONNX Runtime {half}, OpenVINO: {half_openvino.strip()[-160:]}")
assert whole == whole_openvino
assert "GatherElements" in half_openvino
PYTHON
