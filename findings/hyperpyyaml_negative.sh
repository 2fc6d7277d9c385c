#!/usr/bin/env bash
# hyperpyyaml 1.2.3
# Guessed: where a: 26 makes "!ref <a> * 2" the number 52, a: -26 makes it -52.
# Does: it stays the text "-26 * 2", without a word: one negative number, as a
#     level in dB or an override from the command line, and nothing is
#     computed. (The evaluator has a branch for signs, but no entry for minus.)
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment hyperpyyaml==1.2.3
python - <<'PYTHON'
from hyperpyyaml import load_hyperpyyaml

text = "a: 26\nb: !ref <a> * 2\nc: !ref 10 - <a>\n"
positive = load_hyperpyyaml(text)
negative = load_hyperpyyaml(text, overrides={"a": -26})
for values in (positive, negative):
    print({key: values[key] for key in "abc"})
assert (positive["b"], positive["c"]) == (52, -16)
assert (negative["b"], negative["c"]) == ("-26 * 2", "10 - -26")
PYTHON
