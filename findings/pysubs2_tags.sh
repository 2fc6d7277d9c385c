#!/usr/bin/env bash
# pysubs2 1.8.1
# Guessed: of an .srt of a recogniser's or annotator's words, those that aren't
#     subtitle tags, as <unk> and {laughs}, are still there when it is read and
#     written again.
# Does: both are gone, from the words that it has read and from the new file:
#     "well {laughs} <unk> yes" is "well   yes". (keep_unknown_html_tags=True
#     saves <unk>; for {laughs} there is nothing but another format.)
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment pysubs2==1.8.1
python - <<'PYTHON'
import pysubs2

text = "1\n00:00:01,000 --> 00:00:02,000\nwell {laughs} <unk> yes\n"
for keep in (False, True):
    file = pysubs2.SSAFile.from_string(text, keep_unknown_html_tags=keep)
    again = file.to_string("srt").splitlines()[2]
    print(f"keep_unknown_html_tags={keep}: {file[0].plaintext!r}, {again!r}")
    unk = "<unk>" if keep else ""
    assert file[0].plaintext == again == f"well  {unk} yes"
PYTHON
