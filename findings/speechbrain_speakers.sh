#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: num_ref_sents of a speaker is the number of his utterances, as the
#     docstring says.
# Does: it is 0 for all.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
from speechbrain.utils.edit_distance import (
    wer_details_by_speaker,
    wer_details_for_batch,
)

texts = [["a"], ["b"], ["c"]]
details = wer_details_for_batch(["1", "2", "3"], texts, texts)
speakers = {"1": "ann", "2": "ann", "3": "bob"}
for found in wer_details_by_speaker(details, speakers):
    name, scored = found["speaker"], found["num_scored_sents"]
    print(f"{name}: {scored} scored of {found['num_ref_sents']}")
    assert scored > 0 and found["num_ref_sents"] == 0
PYTHON
