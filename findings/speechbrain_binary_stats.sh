#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: the DER of BinaryMetricStats is the share of wrong decisions, by
#     default the EER, as its docstring says; with `positive_label=0` the zeros
#     are what precision and recall are of.
# Does: DER divides the wrong decisions by the right ones: it is 33 % where the
#     EER is 25 %. `positive_label` chooses the threshold; all that is counted
#     is of the ones.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import torch
from speechbrain.utils.metric_stats import EER, BinaryMetricStats

scores = torch.tensor([0.9, 0.8, 0.7, 0.2, 0.1, 0.15, 0.3, 0.75])
labels = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
names = [str(i) for i in range(len(scores))]

stats = BinaryMetricStats()
stats.append(names, scores, labels)
found = stats.summarize()
eer, _ = EER(scores[:4], scores[4:])
print(f"EER {eer:.2f}, DER {found['DER']:.2f}, precision", found["precision"])
assert eer == 0.25 and abs(found["DER"] - 2 / 6) < 1e-6
assert abs(found["precision"] - 0.75) < 1e-6

# Zeros with high scores: 3 of the 4 that pass 0.5 are zeros.
stats = BinaryMetricStats(positive_label=0)
stats.append(names, 1 - scores, labels)
precision = stats.summarize(field="precision", threshold=0.5)
print(f"of zeros: precision {precision:.2f}")
assert abs(precision - 0.25) < 1e-6
PYTHON
