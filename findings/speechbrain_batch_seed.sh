#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: seed_everything, which a recipe calls with its seed, orders dynamic
#     batches, as it orders what shuffle=True reads.
# Does: DynamicBatchSampler starts from 42 unless it is given a seed of its own.
#     Runs of other seeds see their data in one order, batch by batch, and the
#     spread between them leaves out what the order does.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python -W ignore - 2> /dev/null <<'PYTHON'
import os
import random

from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.dataio.sampler import (
    DynamicBatchSampler,
    ReproducibleRandomSampler,
)
from speechbrain.utils.seed import seed_everything

lengths = random.Random(0)
data = {f"u{i}": {"length": lengths.uniform(1, 9)} for i in range(60)}
dataset = DynamicItemDataset(data, output_keys=["id"])
shuffled, dynamic = [], []
for seed in (1, 2):
    seed_everything(seed)
    # As Brain.make_dataloader makes it.
    sampler = ReproducibleRandomSampler(
        dataset, seed=os.environ["SB_GLOBAL_SEED"]
    )
    shuffled.append(list(sampler))
    sampler = DynamicBatchSampler(
        dataset,
        max_batch_length=40,
        num_buckets=5,
        length_func=lambda item: item["length"],
    )
    dynamic.append([list(batch) for batch in sampler])
print("shuffled alike:", shuffled[0] == shuffled[1])
print("dynamic batches alike:", dynamic[0] == dynamic[1])
assert shuffled[0] != shuffled[1]
assert len(dynamic[0]) > 5 and dynamic[0] == dynamic[1]
PYTHON
