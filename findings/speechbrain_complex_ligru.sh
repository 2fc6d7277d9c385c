#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: the complex Light GRU with layer norm is near the one with batch norm,
#     and an unknown name of a norm is no norm, as its docstring says.
# Does: with either it returns zeros, whatever it hears: its layer norm subtracts
#     each value from itself, and no norm is that too. In training it raises on a
#     batch of another size than that of `input_shape`, such as the last one of
#     an epoch.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import torch
from speechbrain.nnet.complex_networks.c_RNN import CLiGRU

torch.manual_seed(0)
x = torch.randn(4, 50, 20)
for norm in ("batchnorm", "layernorm", "none"):
    layer = CLiGRU(hidden_size=8, input_shape=x.shape, normalization=norm)
    largest = float(layer(x).abs().max())
    print(f"{norm}: the largest output is {largest:.3f}")
    assert (largest > 0.1) == (norm == "batchnorm")
    assert norm == "batchnorm" or largest == 0
layer = CLiGRU(hidden_size=8, input_shape=x.shape)
layer(x)
try:
    layer(x[:3])
except RuntimeError as error:
    print(f"three utterances after four: {error}")
else:
    raise AssertionError("three utterances after four are no error")
PYTHON
