#!/usr/bin/env bash
# tgt 1.5
# Guessed: it reads every TextGrid that Praat writes; Praat's labels may hold
#     a line break (typed in its editor, or from a transcript of two lines).
# Does: such a label ends with "IndexError: list index out of range", which
#     names neither the file's line nor the label. praat-parselmouth (Praat's
#     own code) and praatio read it.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment tgt==1.5 praat-parselmouth==0.4.7 praatio==6.2.2 numpy==2.4.6
python - <<'PYTHON'
import parselmouth
import praatio.textgrid
import tgt
from parselmouth.praat import call

grid = call("Create TextGrid", 0, 2, "words", "")
call(grid, "Insert boundary", 1, 1)
call(grid, "Set interval text", 1, 1, "two\nlines")
call(grid, "Set interval text", 1, 2, "one line")
grid.save("a.TextGrid")
labels = praatio.textgrid.openTextgrid("a.TextGrid", False).getTier("words")
print("praatio:", [entry.label for entry in labels.entries])
try:
    print("tgt:", tgt.read_textgrid("a.TextGrid"))
except IndexError as error:
    print("tgt: IndexError:", error)
else:
    raise SystemExit("tgt reads it now")
PYTHON
