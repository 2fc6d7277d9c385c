"""What the CUDA backend's products multiply.

Where it can run is tested for all backends in ../test_backends.py.
"""

import torch
from cuda_devices import DEVICES, H100

from speechbrain_ligru_fast.backends import cuda


def test_a_library_whose_package_is_missing(put):
    def absent(name):
        raise ModuleNotFoundError(name)

    put(cuda.importlib.util, find_spec=absent)
    found = cuda.unavailable("cuda", torch.float32, None)
    assert "not installed: pip install" in found


def test_operands(put):
    """float16's gradients are multiplied in a type of float32's range."""
    old = DEVICES["sm_75"]
    assert cuda._operand(torch.float16, H100, False) == "fp16"
    assert cuda._operand(torch.float16, H100, True) == "tf32"
    assert cuda._operand(torch.float16, old, True) == "fp32"
    assert cuda._operand(torch.bfloat16, H100, True) == "bf16"
    for allowed, operand in ((False, "fp32"), (True, "tf32")):
        put(cuda, tf32_allowed=lambda x=allowed: x)
        assert cuda._operand(torch.float32, H100, True) == operand
        assert cuda._operand(torch.float32, old, True) == "fp32"
