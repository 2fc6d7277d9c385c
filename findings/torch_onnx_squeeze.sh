#!/usr/bin/env bash
# torch 2.15.0 with onnxscript 0.7.2 and onnxruntime 1.32.0
# Guessed: x.squeeze(1) of an axis of four elements, which torch leaves as it
#     is, is left out of an ONNX file, or at least does nothing there.
# Does: torch.onnx.export succeeds, and writes a Squeeze of that axis. ONNX's
#     Squeeze may remove axes of one element only, so that the file can't be
#     loaded. SpeechBrain's convolutions end with such a squeeze.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment torch==2.15.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 \
    onnxruntime==1.32.0
python - <<'PYTHON'
import onnx
import onnxruntime
import torch


class Squeeze(torch.nn.Module):
    def forward(self, x):
        return x.squeeze(1) + 1


x = torch.randn(2, 4, 3)
print(f"torch: {list(x.shape)} -> {list(Squeeze()(x).shape)}")
torch.onnx.export(Squeeze(), (x,), "squeeze.onnx", dynamo=True, verbose=False)
kinds = [node.op_type for node in onnx.load("squeeze.onnx").graph.node]
print(f"the file's operators: {kinds}")
try:
    onnxruntime.InferenceSession("squeeze.onnx")
    refused = ""
except Exception as error:
    refused = str(error)
print(f"ONNX Runtime: {refused or 'loads it'}")
assert kinds == ["Squeeze", "Add"] and "must be 1 instead of 4" in refused
PYTHON
