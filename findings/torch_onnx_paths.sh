#!/usr/bin/env bash
# torch 2.15.0 with onnxscript 0.7.2
# Guessed: an ONNX file holds a model's graph and its weights; nothing in it
#     tells on whose machine, in which folder, by which program it was made.
# Does: every node carries the stack trace of the program that exported it: the
#     paths of its files and of its virtual environment, and lines of its
#     source. A speech encoder of two layers grows by a hundred kilobytes, and
#     its users can read the home folder of its author.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment torch==2.15.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2
mkdir -p home/somebody
cat > home/somebody/model.py <<'PYTHON'
import torch


class Model(torch.nn.Module):
    def forward(self, x):
        return torch.relu(x)  # a line of my source
PYTHON
cat > home/somebody/export.py <<'PYTHON'
import model
import onnx
import torch

x = torch.randn(2, 4)
torch.onnx.export(model.Model().eval(), (x,), "model.onnx", verbose=False)
(node,) = onnx.load("model.onnx").graph.node
trace = {entry.key: entry.value for entry in node.metadata_props}[
    "pkg.torch.onnx.stack_trace"
]
print(trace)
assert "home/somebody/model.py" in trace and "a line of my source" in trace
PYTHON
python home/somebody/export.py
