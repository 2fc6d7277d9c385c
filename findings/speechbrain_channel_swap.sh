#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: ChannelSwap with one swap exchanges two of four microphones.
# Does: it copies one over the other. The second is lost, the first there twice;
#     and the caller's tensor is changed, too.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import torch
from speechbrain.augment.time_domain import ChannelSwap

torch.manual_seed(1)
given = torch.arange(4.0).expand(1, 16000, 4)
ends = []
for _ in range(40):
    batch = given.clone()
    swapped = ChannelSwap(min_swap=1, max_swap=1)(batch)
    ends.append(swapped[0, 0].int().tolist())
    assert torch.equal(swapped, batch)
seen = sorted(set(map(tuple, ends)))
print("channels 0, 1, 2, 3 after one swap:", *seen[:6])
# The two may be one and the same; else one of four is lost each time.
assert {len(set(channels)) for channels in seen} == {3, 4}
assert all(c == (0, 1, 2, 3) for c in seen if len(set(c)) == 4)
PYTHON
