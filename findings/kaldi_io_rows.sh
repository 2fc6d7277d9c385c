#!/usr/bin/env bash
# kaldi_io 0.9.8 and kaldiio 2.18.1
# Guessed: both read the rows that Kaldi's notation in a .scp names:
#     feats.ark:2[1:3] is rows 1, 2 and 3 (Kaldi's ranges include their end).
# Does: kaldiio returns rows 1 to 3, kaldi_io rows 1 and 2. The last frame of
#     every segment is missing, and nothing says so.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment kaldi_io==0.9.8 kaldiio==2.18.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import kaldi_io
import kaldiio
import numpy as np

rows = np.arange(5, dtype=np.float32)[:, None].repeat(4, 1)
kaldiio.save_ark("feats.ark", {"u": rows})
with open("feats.scp", "w") as file:
    file.write("u feats.ark:2[1:3]\n")
new = kaldiio.load_scp("feats.scp")["u"][:, 0].tolist()
((_, matrix),) = kaldi_io.read_mat_scp("feats.scp")
old = matrix[:, 0].tolist()
print(f"[1:3] by kaldiio: rows {new}; by kaldi_io: rows {old}")
assert new == [1, 2, 3]
assert old == [1, 2]
PYTHON
