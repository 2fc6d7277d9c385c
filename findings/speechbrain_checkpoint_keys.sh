#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: saving a checkpoint and keeping one takes as long the hundredth
#     time as the first.
# Does: each call of save_and_keep_only() adds an entry to its own default of
#     importance_keys, which all checkpointers of the process share, and each
#     entry orders the checkpoints once more. Brain saves within an epoch this
#     way, so a long training saves slower and slower.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python -W ignore - 2> /dev/null <<'PYTHON'
import inspect
import time

import torch
from speechbrain.utils.checkpoints import Checkpointer


def entries():
    function = inspect.signature(Checkpointer.save_and_keep_only)
    return len(function.parameters["importance_keys"].default)


saver = Checkpointer("checkpoints", {"model": torch.nn.Linear(1, 1)})
counts, times = [entries()], []
for _ in range(150):
    begin = time.perf_counter()
    saver.save_and_keep_only()
    times.append(time.perf_counter() - begin)
counts.append(entries())
print(f"the default has {counts[0]} entries, after 150 calls {counts[1]};")
print(f"the first call took {times[0]:.3f} s, the last {times[-1]:.3f} s")
assert counts == [0, 150]
PYTHON
