#!/usr/bin/env bash
# triton 3.9.0 (with torch 2.15.0)
# Guessed: what compiles for a GPU also runs under TRITON_INTERPRET=1.
# Does: a mask of a scalar's comparison & a block's, which the compiler takes
#     and the interpreter of 3.6.0 took, is refused: "mask has unsupported
#     dtype". Without the scalar the same load runs.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment triton==3.9.0 torch==2.15.0 numpy==2.4.6
cat >mask.py <<'PYTHON'
import torch
import triton
import triton.language as tl


@triton.jit
def load(source, target, n, flag, SCALAR: tl.constexpr, SIZE: tl.constexpr):
    i = tl.arange(0, SIZE)
    mask = i < n
    if SCALAR:
        mask = (flag > 0) & mask
    tl.store(target + i, tl.load(source + i, mask=mask, other=0.0))


def run(scalar):
    target = torch.empty(8)
    try:
        load[(1,)](torch.ones(8), target, 5, 1, SCALAR=scalar, SIZE=8)
    except Exception as error:
        target = str(error)
    print(f"triton {triton.__version__}, with a scalar {scalar}: {target}")
    return target


assert run(False).tolist() == [1, 1, 1, 1, 1, 0, 0, 0]
assert "mask has unsupported dtype" in run(True)
PYTHON
TRITON_INTERPRET=1 python mask.py
