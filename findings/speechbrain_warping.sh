#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: Warping along the features (dim 2) returns a batch with too few of
#     them for its window as it came; and it leaves the caller's tensor alone.
# Does: such a batch comes back with time and features exchanged, without a
#     word. A batch that is warped in time is warped in place.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import torch
from speechbrain.augment.freq_domain import Warping

torch.manual_seed(0)
mfcc = torch.randn(4, 100, 13)
shapes = {
    window: tuple(Warping(warp_window=window, dim=2)(mfcc.clone()).shape)
    for window in (6, 7)
}
print(f"13 features, windows of 6 and 7: {shapes[6]} and {shapes[7]}")
assert shapes == {6: (4, 100, 13), 7: (4, 13, 100)}
kept = mfcc.clone()
warped = Warping(warp_window=5)(mfcc)
print(f"in time: the given batch differs from before by up to "
      f"{(mfcc - kept).abs().max():.1f}")
assert not torch.equal(mfcc, kept) and torch.equal(mfcc, warped)
PYTHON
