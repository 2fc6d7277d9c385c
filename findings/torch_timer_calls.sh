#!/usr/bin/env bash
# torch 2.15.0
# Guessed: torch.utils.benchmark.Timer.timeit(1) runs the statement once, as
#     timeit.Timer.timeit(1) does.
# Does: it calls it three times: two unmeasured calls come first, every time.
#     Who times a training step of a minute once waits for three.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment torch==2.15.0 numpy==2.4.6
python -W ignore - <<'PYTHON'
from torch.utils.benchmark import Timer

calls = []
timer = Timer("step()", globals={"step": lambda: calls.append(1)})
counts = []
for number in (1, 1, 100, 1000):
    calls.clear()
    timer.timeit(number)
    counts.append(len(calls))
print(f"timeit(1), (1), (100), (1000) called it {counts} times")
assert counts == [3, 3, 102, 1010]
PYTHON
