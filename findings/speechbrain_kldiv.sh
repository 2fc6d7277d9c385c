#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: kldiv_loss is by default the mean over the frames within `length`, as
#     nll_loss is, with label smoothing as without.
# Does: without smoothing it is nll_loss. With any it is the sum over all
#     frames, those beyond `length` included: of 2 utterances of 100 and 50
#     frames 200 times as much as of one frame.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import torch
from speechbrain.nnet.losses import kldiv_loss

# Every frame has the same probabilities and the same target.
frame = torch.tensor([0.1, 0.7, 0.2]).log()
batch = frame.expand(2, 100, 3).contiguous()
targets = torch.ones(2, 100, dtype=torch.long)
lengths = torch.tensor([1.0, 0.5])
found = {}
for smoothing in (0.0, 0.001):
    one = kldiv_loss(
        frame.view(1, 1, 3),
        targets[:1, :1],
        length=torch.ones(1),
        label_smoothing=smoothing,
        reduction="mean",
    )
    many = kldiv_loss(
        batch,
        targets,
        length=lengths,
        label_smoothing=smoothing,
        reduction="mean",
    )
    found[smoothing] = float(many / one)
    print(f"smoothing {smoothing}: {one:.4f} of a frame, {many:.4f} of a batch")
assert abs(found[0.0] - 1) < 1e-4
assert abs(found[0.001] - 200) < 0.1
PYTHON
