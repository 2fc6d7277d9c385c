#!/usr/bin/env bash
# speechbrain 1.1.2 (with torch 2.15.0 and torchaudio 2.11.1)
# Guessed: as with torch's BatchNorm, the running mean and deviation of
#     speechbrain.processing.features.InputNormalization are in its state_dict.
# Does: its state_dict is empty, and loading it into a new one "matches all
#     keys": a model saved by torch.save(model.state_dict()), an average of
#     models, or a copy to another rank, has lost the statistics. (SpeechBrain's
#     own checkpoints keep them by hooks.)
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1
python - <<'PYTHON'
import torch
from speechbrain.processing.features import InputNormalization

torch.manual_seed(0)
trained, restored = InputNormalization(), InputNormalization()
trained(3 * torch.randn(2, 50, 3) + 7, torch.ones(2))
state = trained.state_dict()
print("mean", trained.glob_mean, "after", trained.count, "frames")
print("state_dict:", dict(state))
print("load_state_dict:", restored.load_state_dict(state))
print("mean", restored.glob_mean, "after", restored.count, "frames")
assert trained.count == 100 and not state and restored.count == 0
PYTHON
