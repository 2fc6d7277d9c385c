#!/usr/bin/env bash
# contractions 0.1.73
# Guessed: fix() spells out contractions ("it's" is "it is"), and leaves
#     other words alone; its option slang is there for chat language.
# Does: slang is on by default, and a spelled letter u is slang: "b r u c e"
#     becomes "b r you c e", "u s a" "you s a". And "it's been" becomes
#     "it is been". Two texts that were equal by ear differ afterwards.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment contractions==0.1.73
python - <<'PYTHON'
import contractions

texts = ("b r u c e", "u s a", "it's been", "it's cold")
fixed = [contractions.fix(text) for text in texts]
print(dict(zip(texts, fixed)))
assert fixed == ["b r you c e", "you s a", "it is been", "it is cold"]
assert contractions.fix("u s a", slang=False) == "u s a"
PYTHON
