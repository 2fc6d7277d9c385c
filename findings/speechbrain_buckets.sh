#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: the fewer buckets DynamicBatchSampler has, the more lengths meet in a
#     batch and the more of it is padding. With one bucket, batches of
#     max_batch_length are filled with utterances of any length.
# Does: how many utterances a batch takes is max_batch_length divided by its
#     bucket's upper end, and the last bucket ends at max_batch_length. So one
#     bucket makes batches of one utterance each, whatever max_batch_length is,
#     two make batches of two, three of three; with one there is no padding.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python -W ignore - 2> /dev/null <<'PYTHON'
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.dataio.sampler import DynamicBatchSampler

# 400 utterances of 1 to 11 seconds.
seconds = [1 + 10 * (i * 37 % 400) / 399 for i in range(400)]
data = DynamicItemDataset({str(i): {"duration": s} for i, s in enumerate(seconds)})
found = {}
for buckets in (1, 2, 3, 20):
    sampler = DynamicBatchSampler(
        data,
        max_batch_length=120.0,
        num_buckets=buckets,
        length_func=lambda item: item["duration"],
        shuffle=True,
    )
    batches = list(sampler)
    padded = sum(max(seconds[i] for i in b) * len(b) for b in batches)
    found[buckets] = max(map(len, batches))
    print(
        f"{buckets:2} buckets: {len(batches):3} batches of up to "
        f"{found[buckets]} utterances, {abs(1 - sum(seconds) / padded):.0%} of it padding"
    )
assert [found[n] for n in (1, 2, 3)] == [1, 2, 3]
assert found[20] > 20
PYTHON
