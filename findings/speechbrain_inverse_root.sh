#!/usr/bin/env bash
# speechbrain 1.1.2
# Guessed: a training with InverseSquareRootScheduler among its recoverables
#     goes on from its checkpoints.
# Does: checkpoints are written, and none can be loaded: the class says how to
#     save and not how to load.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1 numpy==2.4.6
python - 2> /dev/null <<'PYTHON'
from speechbrain.nnet import schedulers
from speechbrain.utils.checkpoints import Checkpointer

for name, arguments in (
    ("InverseSquareRootScheduler", [1000]),
    ("NoamScheduler", [1.0, 1000]),
):
    kind = getattr(schedulers, name)
    Checkpointer(name, {"schedule": kind(*arguments)}).save_checkpoint()
    try:
        Checkpointer(name, {"schedule": kind(*arguments)}).recover_if_possible()
        said = "loaded"
    except RuntimeError as error:
        said = str(error).split(".")[0]
    print(f"{name}: {said}")
    assert (said == "loaded") == (name == "NoamScheduler")
PYTHON
