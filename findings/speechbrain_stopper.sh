#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: a training that is to stop after two epochs without a better metric
#     stops when the accuracy stays as it is.
# Does: with direction "max" an equal value counts as better, since the least
#     improvement is subtracted. It goes on to the last epoch. With "min" it
#     stops. A loss below 0 that stays the same goes on as well.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
from speechbrain.utils.epoch_loop import EpochCounterWithStopper

for direction, metric, epochs in (
    ("min", 0.1, 3),
    ("max", 0.9, 50),
    ("min", -5.0, 50),
):
    counter = EpochCounterWithStopper(50, 2, 0, direction)
    for epoch in counter:
        counter.update_metric(metric)
    print(f"{direction} of a constant {metric}: {epoch} epochs")
    assert epoch == epochs
PYTHON
