#!/usr/bin/env bash
# torch 2.15.0, on a CPU
# Guessed: fully_shard in bfloat16 leaves batch norms in float32, as the
#     MixedPrecision of FSDP1 does unless it is told otherwise.
# Does: it casts their weight and bias and leaves their statistics as they are;
#     a CPU's kernel refuses the mixture, in training and in inference. Wrapped
#     apart, with a policy of float32, a batch norm runs.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment torch==2.15.0 numpy==2.4.6
python - <<'PYTHON'
import tempfile

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import (
    MixedPrecision,
    MixedPrecisionPolicy,
    fully_shard,
)

assert nn.modules.batchnorm._BatchNorm in (
    MixedPrecision()._module_classes_to_ignore
)
store = torch.distributed.FileStore(tempfile.mktemp(), 1)
torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
mesh = init_device_mesh("cpu", (1,))
half = MixedPrecisionPolicy(param_dtype=torch.bfloat16)
x = torch.randn(6, 4)
for training in (True, False):
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).train(training)
    fully_shard(net, mesh=mesh, mp_policy=half)
    try:
        net(x)
        said = "nothing"
    except RuntimeError as error:
        said = str(error)
    print(f"training {training}: {said}")
    assert said == "expected scalar type BFloat16 but found Float"
net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
whole = MixedPrecisionPolicy(param_dtype=torch.float32)
fully_shard(net[1], mesh=mesh, mp_policy=whole)
fully_shard(net, mesh=mesh, mp_policy=half)
print("apart:", net(x).dtype)
torch.distributed.destroy_process_group()
PYTHON
