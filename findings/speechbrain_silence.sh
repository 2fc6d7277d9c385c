#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: of an utterance that is digital silence (a muted microphone) RandAmp
#     and DoClip make silence.
# Does: they divide by its peak, and return NaN. The utterances beside it in the
#     batch are right, until their loss is averaged with its.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import torch
from speechbrain.augment.time_domain import DoClip, RandAmp

torch.manual_seed(0)
batch = torch.stack([0.1 * torch.randn(16000), torch.zeros(16000)])
for augment in (RandAmp(), DoClip()):
    bad = augment(batch).isnan().all(1).tolist()
    print(f"{type(augment).__name__}: noise NaN {bad[0]}, silence NaN {bad[1]}")
    assert bad == [False, True]
PYTHON
