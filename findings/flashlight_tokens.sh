#!/usr/bin/env bash
# flashlight-text 0.0.7
# Guessed: of five frames the best CTC path has five tokens, whose log
#     probabilities sum to the score.
# Does: it has seven: one of silence, here -1, is put before and after, so that
#     token i is frame i - 1's. The score is of the five.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment flashlight-text==0.0.7 numpy==2.4.6
python - <<'PYTHON'
import numpy as np
from flashlight.lib.text.decoder import (
    CriterionType,
    LexiconFreeDecoder,
    LexiconFreeDecoderOptions,
    ZeroLM,
)

options = LexiconFreeDecoderOptions(
    beam_size=10,
    beam_size_token=4,
    beam_threshold=100,
    lm_weight=0.0,
    sil_score=0.0,
    log_add=False,
    criterion_type=CriterionType.CTC,
)
frames = np.full((5, 4), 0.1, dtype=np.float32)
path = [3, 0, 0, 3, 1]
frames[np.arange(5), path] = 0.7
frames = np.log(frames)
blank, silence = 3, -1
decoder = LexiconFreeDecoder(options, ZeroLM(), silence, blank, [])
best = decoder.decode(frames.ctypes.data, *frames.shape)[0]
print("5 frames, path", path, "tokens", list(best.tokens))
assert list(best.tokens) == [-1, *path, -1]
assert abs(best.score - 5 * np.log(0.7)) < 1e-4
PYTHON
