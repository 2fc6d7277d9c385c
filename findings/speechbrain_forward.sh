#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: HMMAligner's forward score of an utterance is the sum over the
#     alignments that its Viterbi search chooses among.
# Does: it adds the paths that are still in an earlier phone at the end, which
#     Viterbi forbids. Of five frames that sound like the first of three phones
#     the forward score is that of staying there: the others need not be said.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
import itertools
import math

import torch
from speechbrain.alignment.aligner import HMMAligner

emissions = torch.tensor([0.98, 0.01, 0.01]).log().expand(1, 5, 3)
phones, whole = torch.tensor([[0, 1, 2]]), torch.ones(1)


def paths(last):
    """Log probabilities of the ways through five frames to this phone."""
    for moves in itertools.product((0, 1), repeat=4):
        states = [0, *itertools.accumulate(moves)]
        if states[-1] == last and max(states) <= 2:
            # Half of what leaves a phone but the last stays in it.
            turns = sum(state < 2 for state in states[:-1])
            score = sum(emissions[0, t, s].item() for t, s in enumerate(states))
            yield score + turns * math.log(0.5)


ends = [list(paths(last)) for last in range(3)]
sums = [torch.tensor(x).logsumexp(0).item() for x in ends]
aligner = HMMAligner()
given = emissions, whole, phones, whole
best, alignment = aligner(*given, "viterbi")
total = aligner(*given, "forward").item()
print(f"Viterbi: {best.item():.3f}, {[int(s) for s in alignment[0]]}")
print(f"sum of the paths that end in the last phone: {sums[2]:.3f}")
print(f"forward: {total:.3f}; staying in the first phone: {sums[0]:.3f}")
assert abs(best.item() - max(ends[2])) < 1e-4
assert abs(total - torch.tensor(sums).logsumexp(0).item()) < 1e-4
assert total > sums[2] + 2
PYTHON
