#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: without lengths all frames are counted: of a batch that is right
#     throughout the accuracy is 1.
# Does: the frames that are right are counted in all utterances, the frames that
#     there are in one. Four right utterances have an accuracy of 400 %.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import torch
from speechbrain.utils.Accuracy import AccuracyStats

targets = torch.tensor([[0, 1, 2, 0, 1]] * 4)
right = torch.nn.functional.one_hot(targets).float().add(1e-3).log()
for lengths, accuracy in ((torch.ones(4), 1.0), (None, 4.0)):
    stats = AccuracyStats()
    stats.append(right, targets, lengths)
    print(f"lengths {lengths}: accuracy {stats.summarize()}")
    assert stats.summarize() == accuracy
PYTHON
