#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: a weighted error rate whose weights are all 1 is the error rate.
# Does: it divides by the steps of the alignment, not by the words of the
#     reference: an inserted word is one. One insertion to two words is 33 %, not
#     50.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
from speechbrain.utils.metric_stats import (
    ErrorRateStats,
    WeightedErrorRateStats,
)

stats = ErrorRateStats()
stats.append(["one"], [["a", "new", "word"]], [["a", "word"]])
weighted = WeightedErrorRateStats(stats, lambda edit, ref, hyp: 1.0)
found = stats.summarize("WER"), weighted.summarize("weighted_wer")
print("WER {:.1f}, with weights of 1 {:.1f}".format(*found))
assert found[0] == 50 and abs(found[1] - 100 / 3) < 1e-6
PYTHON
