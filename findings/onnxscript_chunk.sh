#!/usr/bin/env bash
# torch 2.15.0 with onnxscript 0.7.2
# Guessed: x.chunk(2) of a batch of any even size, which torch.export takes, can
#     be written as ONNX.
# Does: it becomes SplitToSequence, whose sizes depend on the batch, and
#     onnxscript's optimizer, which torch.onnx.export runs on its own, fails at
#     them: 'NoneType' object has no attribute 'ndim'. x[:n // 2] and x[n // 2:]
#     work.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment torch==2.15.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2
python - <<'PYTHON'
import traceback

import torch


class Chunk(torch.nn.Module):
    def forward(self, x):
        a, b = x.chunk(2)
        return a + b


class Slices(torch.nn.Module):
    def forward(self, x):
        half = x.size(0) // 2
        return x[:half] + x[half:]


def export(module):
    x = torch.randn(4, 3)
    sizes = ({0: 2 * torch.export.Dim("half", min=1)},)
    program = torch.export.export(module, (x,), dynamic_shapes=sizes)
    try:
        torch.onnx.export(program, dynamo=True, verbose=False)
        return "exported"
    except Exception:
        return traceback.format_exc()


chunk, slices = export(Chunk()), export(Slices())
reason = "'NoneType' object has no attribute 'ndim'"
print(f"chunk: {reason if reason in chunk else chunk}")
print(f"slices: {slices}")
assert reason in chunk and slices == "exported"
PYTHON
