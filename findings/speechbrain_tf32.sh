#!/usr/bin/env bash
# speechbrain 1.1.2 (with torch 2.15.0 and torchaudio 2.11.1)
# Guessed: importing a package leaves the precision that a program chose for
#     its matrix products.
# Does: `import speechbrain` allows TF32 (10 bits of mantissa instead of 23) on
#     CUDA devices, also where the program had forbidden it a line before. The
#     variable SB_DISABLE_QUIRKS=allow_tf32 hinders it, or a choice made after
#     the import. No GPU is needed to see it.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1
cat >precision.py <<'PYTHON'
import sys

import torch

matmul = torch.backends.cuda.matmul
matmul.allow_tf32 = False
before = matmul.allow_tf32, torch.get_float32_matmul_precision()
import speechbrain  # noqa: E402, F401

after = matmul.allow_tf32, torch.get_float32_matmul_precision()
print(f"{sys.argv[1]}: TF32, precision {before}; after the import {after}")
assert before == (False, "highest")
assert after == (before if "without" in sys.argv[1] else (True, "high"))
PYTHON
python precision.py "by default"
SB_DISABLE_QUIRKS=allow_tf32 python precision.py "without the quirk"
