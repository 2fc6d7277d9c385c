"""Which products a GPU is asked for: fake tensors tell without one."""

import importlib

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from speechbrain_ligru_fast.backends import triton
from speechbrain_ligru_fast.products import matrix_unit
from speechbrain_ligru_fast.products.precision import (
    recurrent_weight_gradient,
    tf32_allowed,
)

# What sums half operands in float32 on a GPU is new in torch 2.8.
ON_A_GPU = (
    ("dtype", torch.bfloat16)
    if hasattr(torch.ops.aten.mm, "dtype")
    else ("default", torch.float32)
)


class Products(TorchDispatchMode):
    """Records the operands' types of every matrix product."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function._schema.name == "aten::mm":
            self.seen.append((function._overloadname, args[0].dtype))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("unit", [None, "available", "dots"])
@pytest.mark.parametrize(
    "device, operands, state, expected",
    [
        ("cuda", torch.bfloat16, torch.float32, ON_A_GPU),
        # Gradients need float32's range.
        ("cuda", torch.float16, torch.float32, ("default", torch.float32)),
        ("cuda", torch.float32, torch.float32, ("default", torch.float32)),
        ("cuda", torch.bfloat16, torch.float64, ("default", torch.float64)),
        ("cpu", torch.bfloat16, torch.float32, ("default", torch.float32)),
    ],
    ids=str,
)
def test_the_weight_gradient_is_one_product(
    device, operands, state, expected, unit, put
):
    put(matrix_unit, available=lambda: unit == "available")
    put(matrix_unit, dots=lambda: unit == "dots")
    if unit and device == "cpu":
        expected = ("default", torch.bfloat16)
    with FakeTensorMode(), Products() as products:
        with torch.device(device):
            du = recurrent_weight_gradient(
                torch.empty(2, 3, 5, 8, dtype=state),
                torch.empty(2, 3, 5, 4, dtype=state),
                torch.empty(8, 4, dtype=operands),
            )
    assert products.seen == [expected]
    assert (du.dtype, du.shape, du.device.type) == (state, (8, 4), device)


@pytest.fixture
def allow_tf32():
    """Sets torch's newest switch of TF32, which is restored afterwards."""
    matmul = torch.backends.cuda.matmul
    # New in torch 2.9.
    if hasattr(matmul, "fp32_precision"):
        name, values = "fp32_precision", ("ieee", "tf32")
    else:
        name, values = "allow_tf32", (False, True)
    before = getattr(matmul, name)
    yield lambda allowed: setattr(matmul, name, values[allowed])
    setattr(matmul, name, before)


def test_both_switches_of_tf32(allow_tf32):
    gpu = torch.device("cuda", 0)
    for allowed in (True, False):
        allow_tf32(allowed)
        assert tf32_allowed() == allowed
        expected = "tf32" if allowed else "ieee"
        assert triton._precision(torch.float32, gpu) == expected
    assert triton._precision(torch.bfloat16, gpu) == "ieee"


def test_importing_speechbrain_allows_tf32(allow_tf32):
    """What docs/reference/backends.md says of float32 on a GPU."""
    quirks = importlib.import_module("speechbrain.utils.quirks")
    assert "allow_tf32" in quirks.applied_quirks | quirks.excluded_quirks
    allow_tf32(False)
    quirks.allow_tf32()
    assert tf32_allowed()
    torch.backends.cuda.matmul.allow_tf32 = False
    assert not tf32_allowed()
