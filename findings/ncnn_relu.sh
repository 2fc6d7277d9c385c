#!/usr/bin/env bash
# pnnx 20261020 and ncnn 1.0.20261020 with torch 2.11.0
# Guessed: pnnx converts torch.nn.RNN with nonlinearity "relu" into what ncnn
#     computes equally, or says that it can't.
# Does: ncnn's RNN has no other nonlinearity than Tanh, and pnnx drops the
#     word. One with "tanh" comes out right; one with "relu" computes Tanh.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment pnnx==20261020 ncnn==1.0.20261020 torch==2.11.0 numpy==2.4.6
python - <<'PYTHON'
import subprocess

import ncnn
import numpy
import torch

torch.manual_seed(0)


class Outputs(torch.nn.Module):
    def __init__(self, nonlinearity):
        super().__init__()
        self.rnn = torch.nn.RNN(8, 6, nonlinearity=nonlinearity)

    def forward(self, x):
        return self.rnn(x)[0]


def outputs(module, x):
    """(T, units) by torch and by ncnn."""
    torch.jit.trace(module, x).save("rnn.pt")
    shape = str(list(x.shape)).replace(" ", "")
    subprocess.run(
        ["pnnx", "rnn.pt", f"inputshape={shape}"],
        check=True,
        capture_output=True,
    )
    network = ncnn.Net()
    network.load_param("rnn.ncnn.param")
    network.load_model("rnn.ncnn.bin")
    extractor = network.create_extractor()
    extractor.input("in0", ncnn.Mat(x[:, 0].numpy().copy()))
    _, found = extractor.extract("out0")
    with torch.no_grad():
        return module(x)[:, 0].numpy(), numpy.array(found).reshape(-1, 6)


tanh, relu = Outputs("tanh"), Outputs("relu")
relu.load_state_dict(tanh.state_dict())
x = torch.randn(7, 1, 8)
(meant, found), (meant_relu, found_relu) = outputs(tanh, x), outputs(relu, x)
print(f"tanh: {abs(meant - found).max():.4f} from torch")
print(f"relu: {abs(meant_relu - found_relu).max():.4f} from torch,")
print(f"    {abs(meant - found_relu).max():.4f} from torch's with tanh")
assert abs(meant - found).max() < 2e-3
assert abs(meant_relu - found_relu).max() > 0.3
assert abs(meant - found_relu).max() < 2e-3
PYTHON
