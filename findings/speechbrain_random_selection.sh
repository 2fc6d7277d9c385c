#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: SpectrogramDrop with replace "random_selection" draws anew for each
#     batch what it fills the dropped frames with.
# Does: the first draw overwrites the setting. All later batches of a training
#     are filled in that one way, and a training that goes on from a checkpoint
#     draws another.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import random

import torch
from speechbrain.augment.freq_domain import SpectrogramDrop

random.seed(0)
torch.manual_seed(0)
ways = set()
for _ in range(20):
    drop = SpectrogramDrop(replace="random_selection")
    drop(torch.rand(4, 100, 40))
    ways.add(drop.replace)
    for _ in range(50):
        drop(torch.rand(4, 100, 40))
        assert drop.replace in ways
    first = drop.replace
    assert first != "random_selection"
print(f"20 of them, of 51 batches each, settled on: {', '.join(sorted(ways))}")
one = SpectrogramDrop(replace="random_selection")
found = []
for _ in range(50):
    one(torch.rand(4, 100, 40))
    found.append(one.replace)
print(f"50 batches of one: {', '.join(sorted(set(found)))}")
assert len(ways) > 2 and len(set(found)) == 1
PYTHON
