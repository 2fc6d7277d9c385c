"""FSDP2 shards a stack, or its layers apart, in 16 bits too."""

import pytest
import torch
import twins
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

import speechbrain_ligru_fast as fast

SHAPE = (2, 9, 5)


@pytest.fixture
def mesh(tmp_path):
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group(
        "gloo", store=store, rank=0, world_size=1
    )
    yield init_device_mesh("cpu", (1,))
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
def test_sharded_as_a_whole_or_by_layer(mesh, dtype):
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for model in twins.MODELS:
        for by_layer in (False, True):
            torch.manual_seed(1)
            net = getattr(fast, model)(
                8, SHAPE, num_layers=2, bidirectional=True, dropout=0.1,
                backend="reference",
            )  # fmt: skip
            for layer in net.rnn if by_layer else ():
                fully_shard(layer, mesh=mesh, mp_policy=policy)
            fully_shard(net, mesh=mesh, mp_policy=policy)
            x, hx = torch.randn(SHAPE), torch.zeros(4, 2, 8)
            for state in (None, hx):
                for lengths in (None, torch.tensor([1.0, 0.5])):
                    output = net(x, state, lengths)[0]
                    output.float().sum().backward()
            assert output.dtype == (dtype or torch.float32)
            for parameter in net.parameters():
                assert parameter.grad.to_local().isfinite().all()
            with torch.no_grad():
                assert net.eval()(x)[0].isfinite().all()
