"""The Numba backend's GPU kernels without a GPU."""

import pathlib
import re
import types

import numpy
import pytest
from fresh import run_tests

pytest.importorskip("numba_cuda")

from speechbrain_ligru_fast.backends.numba import gpu  # noqa: E402


def test_the_kernels_in_the_simulator():
    """simulated/, in a process that simulates CUDA from the start."""
    folder = pathlib.Path(__file__).parent / "simulated"
    run_tests(folder, NUMBA_ENABLE_CUDASIM="1")


@pytest.mark.parametrize("kernel", ["forward", "backward"])
def test_the_kernels_compile_for_a_gpu(kernel, put):
    """To PTX for sm_80, in float32 throughout and with a grid barrier."""
    from numba import cuda, float32, int64
    from numba import types as nb
    from numba.cuda import dispatcher

    # Device functions are compiled for the GPU that is here.
    device = types.SimpleNamespace(compute_capability=(8, 0))
    put(dispatcher, get_current_device=lambda: device)
    one, two, three = (nb.Array(float32, n, "C") for n in (1, 2, 3))
    lengths, flag = nb.Array(int64, 1, "C"), nb.boolean
    arguments = {
        "forward": (
            three, two, two, lengths, one, one, three, three, three, two,
            three, two, int64, int64, flag, float32,
        ),
        "backward": (
            three, three, three, three, two, two, two, lengths, one, three,
            three, two, three, int64, int64, flag,
        ),
    }  # fmt: skip
    function = gpu._kernels(numpy.float32)[kernel == "backward"].py_func
    signature = nb.void(*arguments[kernel])
    options = dict(cc=(8, 0), device=False, abi="numba")
    ptx, _ = cuda.compile(function, signature, **options)
    assert "cudaCGSynchronize" in ptx
    # sin and cos reduce large arguments in float64; nothing else may.
    found = set(re.findall(r"^\s*(\S*f64\S*)", ptx, re.MULTILINE))
    assert found <= {"cvt.rn.f64.s64", "mul.f64", "cvt.rn.f32.f64"}
