#!/usr/bin/env bash
# pyannote.metrics 4.2.0
# Guessed: a speaker with two segments that overlap speaks from the beginning of
#     the first to the end of the second; who says so has no error.
# Does: the overlap counts twice, as if two spoke: 2 of 12 seconds are missed.
#     spy-der 0.4.1 finds no error. `Annotation.support()` joins them before.
# Seen: 2026-11-30
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment pyannote.metrics==4.2.0 pyannote.core==6.1.0 spy-der==0.4.1
python - 2> /dev/null <<'PYTHON'
import spyder
from pyannote.core import Annotation, Segment
from pyannote.metrics.diarization import DiarizationErrorRate

reference, hypothesis = Annotation(), Annotation()
reference[Segment(0, 5), "first"] = "ann"
reference[Segment(3, 10), "second"] = "ann"
hypothesis[Segment(0, 10), "only"] = "one"
metric = DiarizationErrorRate()
found = metric(reference, hypothesis, detailed=True)
joined = metric(reference.support(), hypothesis)
spy = spyder.DER([("ann", 0.0, 5.0), ("ann", 3.0, 10.0)], [("one", 0.0, 10.0)])
print(f"{found['total']} seconds, {found['missed detection']} missed")
print(f"joined before: {joined}, by spy-der: {spy.der}")
assert found["total"] == 12 and found["missed detection"] == 2
assert joined == 0 and spy.der == 0
PYTHON
